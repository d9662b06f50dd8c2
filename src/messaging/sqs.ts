import type { Target } from '../publications/target.ts'
import { type BatchFailures, batchTarget, type CallOptions, defaultBytes } from './aws-batch.ts'
import { checkTargetOptions, checkText } from './options.ts'

/** The used part of an SQS client; `SQS` of the AWS SDK fits. */
export interface SqsClient {
  sendMessageBatch(
    input: {
      QueueUrl: string
      Entries: { Id: string; MessageBody: string; MessageGroupId?: string; MessageDeduplicationId?: string }[]
    },
    options?: CallOptions,
  ): Promise<BatchFailures>
}

/** Options of `sqs`. */
export interface SqsTargetOptions {
  /** URL of the queue. With the suffix `.fifo`, the order of each aggregate is kept. */
  readonly queueUrl: string
  /** Name of the target. Default: `sqs:<queue>`. */
  readonly name?: string
  /** Bytes of one batch. Default 262,144 (256 KiB). */
  readonly mostBytes?: number
}

/**
 * Publishes to an SQS queue, in structured mode.
 *
 * A FIFO queue keeps the order of each `partitionkey`: a batch has at most one message of each
 * group. It drops repeats within 5 minutes. A standard queue does neither.
 *
 * @throws DefinitionError for wrong options
 *
 * @example
 * ```ts no-run
 * import { sqs, type SqsClient } from 'cqrs-es/messaging'
 *
 * declare const client: SqsClient // new SQS() of @aws-sdk/client-sqs
 *
 * export const target = sqs(client, { queueUrl: 'https://sqs.eu-central-1.amazonaws.com/1/orders.fifo' })
 * ```
 */
export function sqs(client: SqsClient, options: SqsTargetOptions): Target {
  const common = checkTargetOptions('sqs', client, 'sendMessageBatch', options, ['queueUrl'], defaultBytes)
  const { queueUrl } = options
  checkText('sqs: queueUrl', queueUrl)
  return batchTarget('SQS', queueUrl, common, (entries, calling) =>
    client.sendMessageBatch(
      { QueueUrl: queueUrl, Entries: entries.map(({ text, ...ids }) => ({ ...ids, MessageBody: text })) },
      calling,
    ),
  )
}
