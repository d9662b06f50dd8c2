import { createHash, randomUUID } from 'node:crypto'
import type { SQSEvent, SQSRecord } from 'aws-lambda'
import { queueSettings } from '../settings.ts'
import type { Outcome } from './sandbox.ts'

/** A message as it is sent to the local run; one with the same `messageId` is the same message, delivered again. */
export interface Message {
  readonly body: string
  readonly messageId?: string
  /** Messages of one group keep their order. Default: a group of its own. */
  readonly group?: string
}

/** Hands messages to a function as an event source mapping does with `ReportBatchItemFailures`: what it reports comes again, and is given up in the end. */
export async function deliverMessages(
  messages: readonly Message[],
  invoke: (event: SQSEvent) => Promise<Outcome>,
): Promise<{ readonly done: readonly string[]; readonly dead: readonly string[] }> {
  let left = messages.map(({ body, messageId = randomUUID(), group = messageId }) => ({ body, messageId, group }))
  const done: string[] = []
  for (let received = 1; received <= queueSettings.maxReceiveCount && left.length > 0; received++) {
    const failed = new Set<string>()
    for (let i = 0; i < left.length; i += queueSettings.batchSize) {
      const batch = left.slice(i, i + queueSettings.batchSize)
      const outcome = await invoke({ Records: batch.map((message) => toRecord(message, received)) })
      for (const id of failedIn(batch, outcome)) failed.add(id)
    }
    done.push(...left.filter(({ messageId }) => !failed.has(messageId)).map(({ messageId }) => messageId))
    left = left.filter(({ messageId }) => failed.has(messageId))
  }
  return { done, dead: left.map(({ messageId }) => messageId) }
}

/** All of them, where the function fails or its report cannot be understood. */
function failedIn(batch: readonly Required<Message>[], outcome: Outcome): readonly string[] {
  const all = batch.map(({ messageId }) => messageId)
  if ('failure' in outcome) return all
  const { batchItemFailures } = (outcome.answer ?? {}) as { batchItemFailures?: readonly { itemIdentifier?: string }[] | null }
  const reported = (batchItemFailures ?? []).map(({ itemIdentifier = '' }) => itemIdentifier)
  return reported.every((id) => all.includes(id)) ? reported : all
}

const toRecord = ({ body, messageId, group }: Required<Message>, received: number): SQSRecord => ({
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
