import type { Target } from '../publications/target.ts'
import { type BatchFailures, batchTarget, type CallOptions, defaultBytes } from './aws-batch.ts'
import { checkTargetOptions, checkText } from './options.ts'

/** The used part of an SNS client; `SNS` of the AWS SDK fits. */
export interface SnsClient {
  publishBatch(
    input: {
      TopicArn: string
      PublishBatchRequestEntries: { Id: string; Message: string; MessageGroupId?: string; MessageDeduplicationId?: string }[]
    },
    options?: CallOptions,
  ): Promise<BatchFailures>
}

/** Options of `sns`. */
export interface SnsOptions {
  /** ARN of the topic. With the suffix `.fifo`, the order of each aggregate is kept. */
  readonly topicArn: string
  /** Name of the target. Default: `sns:<topic>`. */
  readonly name?: string
  /** Bytes of one batch. Default 262,144 (256 KiB). */
  readonly mostBytes?: number
}

/**
 * Publishes to an SNS topic, in structured mode.
 *
 * A FIFO topic keeps the order of each `partitionkey`, and drops repeats within 5 minutes. A
 * standard topic does neither.
 *
 * @throws DefinitionError for wrong options
 *
 * @example
 * ```ts no-run
 * import { sns, type SnsClient } from 'cqrs-es/messaging'
 *
 * declare const client: SnsClient // new SNS() of @aws-sdk/client-sns
 *
 * export const target = sns(client, { topicArn: 'arn:aws:sns:eu-central-1:1:orders.fifo' })
 * ```
 */
export function sns(client: SnsClient, options: SnsOptions): Target {
  const common = checkTargetOptions('sns', client, 'publishBatch', options, ['topicArn'], defaultBytes)
  const { topicArn } = options
  checkText('sns: topicArn', topicArn)
  return batchTarget('SNS', topicArn, common, (entries, calling) =>
    client.publishBatch(
      { TopicArn: topicArn, PublishBatchRequestEntries: entries.map(({ text, ...ids }) => ({ ...ids, Message: text })) },
      calling,
    ),
  )
}
