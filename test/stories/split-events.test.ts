import {
  createApp,
  defineAggregate,
  defineSqlView,
  defineSubscription,
  type EventEnvelope,
  type Store,
  type StoredForm,
  typed,
  versions,
} from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { memoryStore } from 'cqrs-es/memory'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import LibSql from 'libsql'
import { describe, expect, test } from 'vitest'
import { collect } from '../support/async.ts'
import {
  changeAddress,
  customer,
  customerBefore,
  following as followingBy,
  type Log,
  type LogHandler,
  parts,
  withMoves,
} from '../support/customers.ts'
import { keeping } from '../support/keeping.ts'
import { onSqlite } from '../support/sqlite.ts'
import { storedBefore } from '../support/stored.ts'
import { unordered } from '../support/stores.ts'

const kept = keeping()
const following = (store: Store, options: Partial<Log> | { handle: LogHandler }) => followingBy(kept, store, options)

describe.each([
  ['memory', async () => memoryStore()],
  ['SQLite', onSqlite],
  ['a store without a global order', async () => unordered(memoryStore())],
])('a split event on %s', (_, open) => {
  test('a split event reaches handle part by part, in order', async () => {
    const store = await open()
    await withMoves(store, 'c', 'c')
    const seen: string[] = []
    const app = following(store, { handle: ({ id }) => void seen.push(id) })
    await app.aggregates.customer.execute('c', changeAddress('new'))
    expect(await app.drain()).toMatchObject({ events: expect.any(Number) })
    expect(seen).toEqual([...parts(1, 2), 'customer/c/3'])
    expect((await app.views.cards.load('c'))?.view.lines).toEqual(['street 1', 'phone 1', 'street 2', 'phone 2', 'new'])
    expect((await app.drain()).caughtUp).toBe(true)
    expect(seen.length).toBe(5)
  })

  test('a split event reaches handleBatch undivided, in batches of up to batchSize', async () => {
    const store = await open()
    await withMoves(store, 'c', 'c', 'c')
    const batches: string[][] = []
    const handleBatch = (events: readonly EventEnvelope[]) => void batches.push(events.map(({ id }) => id))
    await following(store, { handle: undefined as never, handleBatch, batchSize: 5 }).drain()
    expect(batches).toEqual([parts(1, 2), parts(3)])
    batches.length = 0
    const one = defineSubscription({ name: 'one', aggregates: [customer], handleBatch, batchSize: 1 })
    await kept(createApp({ store, aggregates: { customer }, subscriptions: { one } })).drain()
    expect(batches).toEqual([parts(1), parts(2), parts(3)])
  })

  test('a split event is redelivered with both parts when the handler fails at the second', async () => {
    const store = await open()
    await withMoves(store, 'c')
    const seen: string[] = []
    let failures = 1
    const handle: LogHandler = ({ id }, { attempt }) => {
      seen.push(`${id} ${attempt}`)
      if (id.endsWith('.2') && failures-- > 0) throw new Error('busy')
    }
    const app = following(store, { handle, onFailure: 'retry' })
    await app.drain()
    await app.drain()
    const [first, second] = parts(1)
    expect(seen).toEqual([`${first} 1`, `${second} 1`, `${first} 2`, `${second} 2`])
    expect(app.blamed).toEqual([second])
  })

  test('a split event is tried up to maxAttempts times, and so is the next one', async () => {
    const store = await open()
    await withMoves(store, 'c', 'c')
    const seen: string[] = []
    const handle: LogHandler = ({ id }, { attempt }) => {
      seen.push(`${id} ${attempt}`)
      if (id.endsWith('.2') && attempt === 1) throw new Error('busy')
    }
    await following(store, { handle, maxAttempts: 2 }).drain()
    const tried = (n: number) => [1, 2].flatMap((attempt) => parts(n).map((id) => `${id} ${attempt}`))
    expect(seen).toEqual([...tried(1), ...tried(2)])
  })

  test('a split event is parked as one, and retried as one after resume()', async () => {
    const store = await open()
    await withMoves(store, 'c', 'c')
    const seen: string[] = []
    let isBroken = true
    const handle: LogHandler = ({ id }) => {
      if (id.endsWith('.2') && isBroken) throw new Error('no phone')
      seen.push(id)
    }
    const app = following(store, { handle, onFailure: 'park' })
    await app.drain()
    expect((await app.subscriptions.log.parked()).items).toMatchObject([{ eventId: 'customer/c/1', message: 'no phone' }])
    expect(seen).toEqual(['customer/c/1'])
    isBroken = false
    await app.subscriptions.log.resume()
    await app.drain()
    expect(seen.slice(1)).toEqual(parts(1, 2))
    expect((await app.subscriptions.log.parked()).items).toEqual([])
  })

  test('a split event stops a subscription as one, and is redelivered as one after resume()', async () => {
    const store = await open()
    await withMoves(store, 'c', 'c')
    const seen: string[] = []
    let isBroken = true
    const handle: LogHandler = ({ id }) => {
      if (id.endsWith('.2') && isBroken) throw new Error('no phone')
      seen.push(id)
    }
    const app = following(store, { handle, onFailure: 'stop' })
    expect((await app.drain()).caughtUp).toBe(false)
    isBroken = false
    await app.subscriptions.log.resume()
    await app.drain()
    expect(seen).toEqual(['customer/c/1', ...parts(1, 2)])
  })

  test('a split event is filtered by the types of its parts', async () => {
    const store = await open()
    await withMoves(store, 'c', 'c')
    const seen: string[] = []
    await following(store, { eventTypes: ['PhoneChanged'], handle: ({ id }) => void seen.push(id) }).drain()
    expect(seen).toEqual(['customer/c/1.2', 'customer/c/2.2'])
  })

  test('a split event is replayed and read with all its parts', async () => {
    const store = await open()
    await withMoves(store, 'c', 'c')
    const app = following(store, { handle: () => {} })
    const replayed: string[][] = []
    expect(await app.replay((events) => replayed.push(events.map(({ id }) => id)))).toEqual({ events: 4 })
    expect(replayed).toEqual([parts(1), parts(2)])
    expect((await collect(app.aggregates.customer.events('c'))).map(({ id }) => id)).toEqual(parts(1, 2))
  })

  test('a split event is on one page over HTTP, whatever the limit', async () => {
    const store = await open()
    await withMoves(store, 'c', 'c', 'c')
    const handler = createHandler(following(store, { handle: () => {} }), { authorize: 'none' })
    const seen: string[][] = []
    for (let after: number | undefined = 0; after !== undefined; ) {
      const response: Response = await handler(new Request(`http://x/customer/c/events?limit=3&after=${after}`))
      const page = (await response.json()) as { items: { id: string }[]; next?: number }
      seen.push(page.items.map(({ id }) => id))
      after = page.next
    }
    expect(seen.flat()).toEqual(parts(1, 2, 3))
    expect(seen[0]).toEqual(parts(1, 2))
  })
})

test('a split event reaches the statements of a sqlView with all its parts', async () => {
  const database = new LibSql(':memory:')
  const store = sqliteStore(database as unknown as SqliteDatabase)
  await store.createSchema()
  await withMoves(store, 'c', 'c')
  database.exec('CREATE TABLE lines (id text)')
  type Client = typeof database
  const lines = defineSqlView({
    name: 'lines',
    aggregates: [customer],
    // What `run` returns is of no interest to the view.
    update: (client: Client, { id }) => client.prepare('INSERT INTO lines VALUES (?)').run(id),
    reset: (client: Client) => client.prepare('DELETE FROM lines').run(),
  })
  const app = kept(createApp({ store, aggregates: { customer }, views: { lines } }))
  await app.drain()
  const rows = () => (database.prepare('SELECT id FROM lines').all() as { id: string }[]).map(({ id }) => id)
  expect(rows()).toEqual(parts(1, 2))
  await app.views.lines.rebuild()
  expect(rows()).toEqual(parts(1, 2))
})

describe('the ids of the parts of a split event', () => {
  const idsOf = async (...types: readonly string[]) => {
    const store = memoryStore()
    await storedBefore(store, 'customer', 'c', { type: types.includes('Moved') ? 'Moved' : 'Gone' })
    const shape = typed<object>()
    const upcast = (event: StoredForm) => types.map((type) => ({ ...event, type, version: '2.0' }))
    const events = { Moved: versions('2.0', shape, {}), A: versions('2.0', shape, {}), B: versions('2.0', shape, {}) }
    const aggregate = defineAggregate({
      type: 'customer',
      events,
      commands: {},
      initialState: () => ({}),
      upcasters: [{ canUpcast: (_: string, version: string) => version === '1.0', upcast }],
    }).implement({ handle: {}, apply: { Moved: (state) => state, A: (state) => state, B: (state) => state } })
    const app = kept(createApp({ store, aggregates: { customer: aggregate } }))
    return (await collect(app.aggregates.customer.events('c'))).map(({ id }) => id)
  }
  const own = 'customer/c/1'

  test.each([
    [['A'], [own]],
    [
      ['A', 'B'],
      [own, `${own}.2`],
    ],
    [
      ['A', 'Moved', 'B'],
      [`${own}.1`, own, `${own}.3`],
    ],
    [
      ['Moved', 'A', 'Moved'],
      [own, `${own}.2`, `${own}.3`],
    ],
  ])('the parts %j of a split event have the ids %j', async (types, ids) => {
    expect(await idsOf(...types)).toEqual(ids)
  })

  test('work keyed by the id of an event is not repeated after the event is split', async () => {
    const store = memoryStore()
    await withMoves(store, 'c')
    const sent: string[] = []
    const mailer = (aggregate: typeof customer | typeof customerBefore) =>
      defineSubscription({
        name: 'mailer',
        aggregates: [aggregate],
        onFailure: 'park',
        handle: ({ id }) => {
          if (!sent.includes(id)) sent.push(id)
          if (aggregate === customerBefore) throw new Error('after the mail')
        },
      })
    const old = kept(
      createApp({ store, aggregates: { c: customerBefore }, subscriptions: { m: mailer(customerBefore) }, observe: () => {} }),
    )
    await old.drain()
    const young = kept(createApp({ store, aggregates: { c: customer }, subscriptions: { m: mailer(customer) } }))
    await young.subscriptions.m.resume()
    await young.drain()
    expect(sent).toEqual(parts(1))
  })
})
