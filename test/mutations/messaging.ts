import type { Mutation } from './mutation.ts'

/** Publications, inboxes and targets. */
export const messaging: readonly Mutation[] = [
  {
    breaks: 'a failed message does not hold back its key',
    file: 'src/publications/round.ts',
    find: '    this.#failed.set(message, error)\n    this.#held.add(this.#keyOf(message))',
    put: '    this.#failed.set(message, error)\n    this.#held.delete(this.#keyOf(message))',
    test: 'test/stories/publishing.test.ts › a failed message holds back its key and no other',
  },
  {
    breaks: 'a call has several messages of one key',
    file: 'src/publications/round.ts',
    find: "if (keeps !== 'order') this.#held.add(key)",
    put: '',
    test: 'test/stories/publishing.test.ts › a round fits the limits of its target, and a call has one message of each key',
  },
  {
    breaks: 'acknowledged messages are sent again',
    file: 'src/publications/publishing.ts',
    find: 'sendable(events).filter(({ id }) => !this.#ahead.has(id))',
    put: 'sendable(events)',
    test: 'test/stories/publishing.test.ts › messages acknowledged ahead of a failed one are not sent again',
  },
  {
    breaks: 'failed messages are tried again in the same run',
    file: 'src/publications/publishing.ts',
    find: 'for (const [{ id }, error] of result.failed) this.#failed.set(id, error)',
    put: '',
    test: 'test/stories/publishing.test.ts › each of many failed messages is tried once in a run',
  },
  {
    breaks: 'a target that is away counts as a failure of the event',
    file: 'src/publications/publishing.ts',
    find: "{ error: away.error, retry: 'all' }",
    put: '{ error: away.error }',
    test: 'test/stories/publishing.test.ts › a target that cannot be reached is waited for, whatever the policy',
  },
  {
    breaks: 'unfit data is retried',
    file: 'src/publications/publishing.ts',
    find: "{ error: mapped.error, retry: 'never' }",
    put: '{ error: mapped.error }',
    test: 'test/stories/publishing.test.ts › unfit data parks the aggregate, and others go on (global order: %s)',
  },
  {
    breaks: 'later events overtake one without a public form',
    file: 'src/publications/map-events.ts',
    find: "if ('error' in mapped) failed.add(key)",
    put: '',
    test: 'test/stories/publishing.test.ts › unfit data parks the aggregate, and others go on (global order: %s)',
  },
  {
    breaks: 'replay passes the checkpoint',
    file: 'src/publications/replay.ts',
    find: '(isUpTo(position, end) && ',
    put: '(',
    test: 'test/stories/publishing.test.ts › replay ends at the checkpoint beside live publishing',
  },
  {
    breaks: 'the key of a message has no source',
    file: 'src/inboxes/receive.ts',
    find: 'async function optionsOf({ source, id, correlationid, traceparent }: CloudEvent) {',
    put: "async function optionsOf({ source, id, correlationid, traceparent }: CloudEvent) {\n  source = ''",
    test: 'test/stories/receiving.test.ts › messages with one id and different sources are both stored',
  },
  {
    breaks: 'a changed mapping fails a repeat',
    file: 'src/inboxes/receive.ts',
    find: "isCqrsError(error, 'IDEMPOTENCY')",
    put: "isCqrsError(error, 'CLOSED')",
    test: 'test/stories/receiving.test.ts › a redelivered message is repeated when its mapping has changed since',
  },
  {
    breaks: 'ids for FIFO queues have no limit',
    file: 'src/messaging/aws-batch.ts',
    find: 'MessageDeduplicationId: await sha256(',
    put: 'MessageDeduplicationId: String(',
    test: 'test/messaging/targets.test.ts › a FIFO queue has one message of a group per call, and ids of 128 characters at most',
  },
  {
    breaks: 'a signature has another time',
    file: 'src/messaging/webhook.ts',
    find: 'const timestamp = String(Math.floor(at.getTime() / 1_000))',
    put: "const timestamp = '0'",
    test: 'test/messaging/targets.test.ts › a request is signed as Standard Webhooks define',
  },
]
