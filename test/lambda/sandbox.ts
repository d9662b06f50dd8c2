/** One Lambda sandbox, in a process of its own: calls its functions for each line it gets, and says what came of it. */
import { createInterface } from 'node:readline'
import { createApp, defineSubscription } from 'cqrs-es'
import { onDynamoDbStream, onHttp, onSchedule, onSqs } from 'cqrs-es/lambda'
import { memoryStore } from 'cqrs-es/memory'
import { count, counter } from '../support/counter.ts'
import { unordered } from '../support/stores.ts'
import { functionUrl, inserted, queued, remaining, scheduled, sqs, stream } from './events.ts'

const signals: AbortSignal[] = []
const seen: string[] = []
const log = defineSubscription({
  name: 'log',
  aggregates: [counter],
  handle: ({ id }, { signal }) => {
    signals.push(signal)
    seen.push(id)
  },
})
const app = createApp({ store: unordered(memoryStore()), aggregates: { counter }, subscriptions: { log } })
const queue = onSqs(app)
const follow = onDynamoDbStream(app)
const drain = onSchedule(app)
const respond = onHttp(async ({ signal }) => {
  signals.push(signal)
  return Response.json(await app.aggregates.counter.load('a'))
})
let calls = 0

async function invoke(timeLimitMs: number): Promise<unknown> {
  const context = remaining(timeLimitMs)
  const nth = ++calls
  const body = { aggregate: 'counter', id: 'a', command: count(1) }
  const queued_ = await queue(sqs(queued(`m-${nth}`, body)), context)
  const followed = await follow(stream(inserted(nth, 'a', nth)), context)
  const drained = await drain(scheduled, context)
  const answered = await respond(functionUrl(), context)
  return {
    queued: queued_,
    followed,
    drained,
    body: answered.body,
    seen,
    aborted: signals.filter(({ aborted }) => aborted).length,
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await invoke(Number(line))
  // What an earlier invocation has left behind comes in while the next one runs.
  await new Promise((resolve) => setTimeout(resolve, 20))
  const timers = process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout')
  console.log(JSON.stringify({ ...(answer as object), aborted: signals.filter(({ aborted }) => aborted).length, timers }))
}
