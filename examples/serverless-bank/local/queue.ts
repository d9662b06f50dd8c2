import { createHash, randomUUID } from 'node:crypto'
import type { SQSEvent, SQSRecord } from 'aws-lambda'
import { queueSettings } from '../settings.ts'
import type { Outcome } from './sandbox.ts'

/** A message for the local run. The same `messageId` means the same message, delivered again. */
export interface Message {
  readonly body: string
  readonly messageId?: string
  /** Messages of one group keep their order. Default: its own group. */
  readonly group?: string
}

type Received = Required<Message> & { readonly received: number }

/**
 * Delivers messages to a function as an event source mapping does with `ReportBatchItemFailures`:
 * delivers reported messages again, and finally gives them up.
 */
export async function deliverMessages(
  messages: readonly Message[],
  invoke: (event: SQSEvent) => Promise<Outcome>,
): Promise<{ readonly done: readonly string[]; readonly dead: readonly string[] }> {
  const left = messages.map(({ body, messageId = randomUUID(), group = messageId }) => ({ body, messageId, group, received: 0 }))
  const [done, dead]: [string[], string[]] = [[], []]
  while (left.length > 0) {
    const tried = new Set<string>()
    const held = new Set<string>()
    for (;;) {
      // After an unfinished message, none of its group is delivered.
      const next = left.filter(({ messageId, group }) => !tried.has(messageId) && !held.has(group))
      const batch = next.slice(0, queueSettings.batchSize)
      if (batch.length === 0) break
      for (const message of batch) {
        message.received++
        tried.add(message.messageId)
      }
      const failed = failedIn(batch, await invoke({ Records: batch.map(toRecord) }))
      for (const message of batch) {
        const { messageId, group, received } = message
        if (failed.includes(messageId)) held.add(group)
        if (failed.includes(messageId) && received < queueSettings.maxReceiveCount) continue
        left.splice(left.indexOf(message), 1)
        ;(failed.includes(messageId) ? dead : done).push(messageId)
      }
    }
  }
  return { done, dead }
}

/** All of them if the function fails or its report is unreadable. */
function failedIn(batch: readonly Received[], outcome: Outcome): readonly string[] {
  const all = batch.map(({ messageId }) => messageId)
  if ('failure' in outcome) return all
  const { batchItemFailures } = (outcome.answer ?? {}) as { batchItemFailures?: readonly { itemIdentifier?: string }[] | null }
  const reported = (batchItemFailures ?? []).map(({ itemIdentifier = '' }) => itemIdentifier)
  return reported.every((id) => all.includes(id)) ? reported : all
}

const toRecord = ({ body, messageId, group, received }: Received): SQSRecord => ({
  messageId,
  receiptHandle: randomUUID(),
  body,
  attributes: {
    ApproximateReceiveCount: `${received}`,
    SentTimestamp: `${Date.now()}`,
    SenderId: 'AIDAIENQZJOLO23YVJ4VO',
    ApproximateFirstReceiveTimestamp: `${Date.now()}`,
    MessageGroupId: group,
    MessageDeduplicationId: messageId,
    SequenceNumber: `${Date.now()}`,
  },
  messageAttributes: {},
  md5OfBody: createHash('md5').update(body).digest('hex'),
  eventSource: 'aws:sqs',
  eventSourceARN: 'arn:aws:sqs:us-east-1:123456789012:commands.fifo',
  awsRegion: 'us-east-1',
})
