import { createApp, defineAggregate, typed } from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { memoryStore } from 'cqrs-es/memory'

const counter = defineAggregate({
  type: 'counter',
  events: { Counted: typed<{ by: number }>() },
  commands: { Count: typed<{ by: number }>() },
  initialState: () => ({ total: 0 }),
}).implement({
  handle: { Count: (_, data) => ({ type: 'Counted', data }) },
  apply: { Counted: ({ total }, { by }) => ({ total: total + by }) },
})

const app = createApp({ store: memoryStore(), aggregates: { counter } })
const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: createHandler(app, { authorize: 'none' }) })
const post = (body: string) =>
  fetch(new URL('/counter/c%2F1/Count', server.url), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })
const { status } = await post('{"by":2}')
const history = await fetch(new URL('/counter/c%2F1/events', server.url))
console.log(
  status,
  (await post('{')).status,
  JSON.stringify(((await history.json()) as { items: { data: object }[] }).items[0]?.data),
)
await server.stop()
