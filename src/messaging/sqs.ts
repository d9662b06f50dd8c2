import type { Target } from '../publications/target.ts'
import {
  type BatchFailures,
  batchCalls,
  type CallOptions,
  defaultBytes,
  errorsOf,
  fifoIds,
  lastPartOf,
  mostMessages,
} from './aws-batch.ts'
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
  const { name, mostBytes } = checkTargetOptions('sqs', client, 'sendMessageBatch', options, ['queueUrl'], defaultBytes)
  const { queueUrl } = options
  checkText('sqs: queueUrl', queueUrl)
  const isFifo = queueUrl.endsWith('.fifo')
  return {
    name: name ?? `sqs:${lastPartOf(queueUrl)}`,
    keeps: isFifo ? 'one-per-key' : 'nothing',
    most: { messages: mostMessages, bytes: mostBytes },
    calls: batchCalls,
    send: async (messages, { signal }) => {
      const entries = messages.map(async (message, i) => ({
        Id: String(i),
        MessageBody: JSON.stringify(message),
        ...(isFifo && (await fifoIds(message))),
      }))
      const input = { QueueUrl: queueUrl, Entries: await Promise.all(entries) }
      return errorsOf('SQS', messages.length, await client.sendMessageBatch(input, { abortSignal: signal }))
    },
  }
}
