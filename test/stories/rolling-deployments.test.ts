import {
  createApp,
  DeserializationError,
  defineAggregate,
  defineSqlView,
  defineSubscription,
  platformRuntime,
  type Runtime,
  typed,
  type Upcaster,
} from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import LibSql from 'libsql'
import { describe, expect, test } from 'vitest'
import { failureOf, gate } from '../support/async.ts'
import { keeping } from '../support/keeping.ts'
import {
  newer,
  older,
  order,
  type Program,
  pay,
  place,
  placeBefore,
  programOf as programBy,
  troubles,
  until,
  viewed,
} from '../support/orders.ts'
import { onSqlite } from '../support/sqlite.ts'
import { storedBefore } from '../support/stored.ts'
import { changed, unordered } from '../support/stores.ts'

const kept = keeping()
const programOf = (...of: Parameters<typeof programBy> extends [unknown, ...infer R] ? R : never) => programBy(kept, ...of)
const statusOf = async ({ app }: Program, which: 'mailer' | 'total' = 'mailer') => {
  const of = which === 'mailer' ? app.subscriptions.mailer : app.views.total
  for await (const status of of.status()) return status
  throw new Error('there is no status')
}

const stores = [
  ['memory', async () => memoryStore()],
  ['SQLite', onSqlite],
  ['a store without a global order', async () => unordered(memoryStore())],
] as const
const policies = ['stop', 'retry', 'park'] as const

describe.each(stores)('an older program beside a newer one on %s', (_, open) => {
  test.each(policies.flatMap((policy) => [[policy, place] as const, [policy, pay] as const]))(
    "an older program with onFailure '%s' leaves %j to the newer one",
    async (onFailure, command) => {
      const store = await open()
      const young = programOf(newer, store, { onFailure })
      const old = programOf(older, store, { onFailure })
      await order(old).execute('a', placeBefore as never)
      await order(young).execute('a', command)
      await order(young).execute('b', place)
      for (let i = 0; i < 3; i++) expect(await old.app.drain()).toMatchObject({ caughtUp: false })
      expect(old.seen).toEqual(['order/a/1'])
      expect(await troubles(store)).toBe(0)
      const told = old.observed.filter(({ kind }) => kind === 'outdated')
      expect(told).toHaveLength(2)
      expect(old.observed.filter(({ kind }) => kind === 'delivery' || kind === 'parked' || kind === 'following')).toEqual([])
      expect(await young.app.drain()).toMatchObject({ caughtUp: true })
      expect([...young.seen].sort()).toEqual(['order/a/2', 'order/b/1'])
      expect(await viewed(young, 'a', 'b')).toBe(3)
      expect(await troubles(store)).toBe(0)
    },
  )

  test('an older program continues after a newer event once that was processed', async () => {
    const store = await open()
    const [old, young] = [programOf(older, store), programOf(newer, store)]
    await order(old).execute('a', placeBefore as never)
    await order(young).execute('b', place)
    await old.app.drain()
    await young.app.drain()
    await order(old).execute('c', placeBefore as never)
    expect(await old.app.drain()).toMatchObject({ caughtUp: true })
    expect(old.seen).toEqual(['order/a/1', 'order/c/1'])
    expect(young.seen).toEqual(['order/b/1'])
  })

  test('an event of a type unknown for an hour stops or parks until a program knows it', async () => {
    for (const onFailure of ['stop', 'park'] as const) {
      const store = await open()
      await storedBefore(store, 'order', 'a', { type: 'Paid', data: { by: 'card' } })
      const old = programOf(older, store, { onFailure })
      await old.app.drain()
      expect(await troubles(store)).toBe(2)
      // One that cannot read it either leaves it as it is.
      await programOf(older, store, { onFailure }).app.drain()
      expect(await troubles(store)).toBe(2)
      const young = programOf(newer, store, { onFailure })
      expect((await young.app.drain()).caughtUp).toBe(true)
      expect(young.seen).toEqual(['order/a/1'])
      expect(await viewed(young, 'a')).toBe(1)
      expect(await troubles(store)).toBe(0)
    }
  })

  test("the hour of an unknown event type is measured by the app's clock", async () => {
    const store = await open()
    await storedBefore(store, 'order', 'a', { type: 'Paid', data: { by: 'card' } })
    const at = (iso: string) => ({ ...platformRuntime, now: () => new Date(iso) })
    await programOf(older, store, { runtime: at('2019-01-01T00:59:59.999Z') }).app.drain()
    expect(await troubles(store)).toBe(0)
    await programOf(older, store, { runtime: at('2019-01-01T01:00:00.000Z') }).app.drain()
    expect(await troubles(store)).toBe(2)
  })

  test('a stop by a handler is not cleared, whatever the handler threw', async () => {
    const store = await open()
    let calls = 0
    const handle = () => {
      calls++
      throw new DeserializationError('It has read another aggregate.', { aggregateType: 'x', aggregateId: 'y', sequence: 1 })
    }
    const { app } = programOf(newer, store, { handle })
    await app.aggregates.order.execute('a', place)
    for (let i = 0; i < 3; i++) await app.drain()
    expect([calls, await troubles(store)]).toEqual([1, 1])
  })

  test('caughtUp() of an older program ends within a limit and names the event and both versions', async () => {
    const store = await open()
    const old = programOf(older, store, { following: { leaseMs: 300 } })
    await order(programOf(newer, store)).execute('a', place)
    for (const of of [old.app.subscriptions.mailer, old.app.views.total]) {
      const failure = await failureOf(of.caughtUp())
      expect(failure).toMatchObject({ code: 'STOPPED', eventId: 'order/a/1', cause: { code: 'DESERIALIZATION' } })
      expect(failure.message).toContain('leaves event order/a/1 (Placed 2.0) to a newer program: this one knows Placed 1.0.')
    }
    expect(await failureOf(old.app.views.total.caughtUp({ timeoutMs: 50 }))).toMatchObject({ code: 'NOT_YET' })
    expect(await troubles(store)).toBe(0)
  })

  test('caughtUp() of an older program resolves when a newer one processes the event meanwhile', async () => {
    const store = await open()
    const [old, young] = [programOf(older, store, { following: { leaseMs: 60_000 } }), programOf(newer, store)]
    await order(young).execute('a', place)
    const waiting = old.app.subscriptions.mailer.caughtUp()
    await until(async () => (await young.app.drain()).caughtUp)
    await waiting
    expect(young.seen).toEqual(['order/a/1'])
  })
})

describe('an older program that is started', () => {
  test('a started older program shows which event it is too old for, until a newer one ran', async () => {
    const store = memoryStore()
    const asleep = gate()
    const runtime: Runtime = {
      ...platformRuntime,
      sleep: (ms, signal) => {
        if (ms !== 1_000) return platformRuntime.sleep(ms, signal)
        void asleep.pass()
        return platformRuntime.sleep(Number.POSITIVE_INFINITY, signal)
      },
    }
    const [old, young] = [programOf(older, store, { runtime }), programOf(newer, store)]
    await order(young).execute('a', place)
    await old.app.start()
    await asleep.reached
    await until(async () => (await statusOf(old)).state === 'outdated' && (await statusOf(old, 'total')).state === 'outdated')
    const { error, state } = await statusOf(old)
    expect(state).toBe('outdated')
    expect(String(error)).toContain('event order/a/1 (Placed 2.0) to a newer program: this one knows Placed 1.0')
    await young.app.drain()
    expect(await statusOf(old)).toMatchObject({ state: 'idle', lag: 0 })
  })

  test('a started older program takes no lease and checks after 1, 2, 4 … 30 seconds', async () => {
    const store = memoryStore()
    const leases: string[] = []
    let reads = 0
    const counted = changed(store, {
      acquireLease: (request) => {
        leases.push(request.name)
        return store.acquireLease(request)
      },
      readCheckpoint: (name) => {
        reads++
        return store.readCheckpoint(name)
      },
    })
    const looks: number[] = []
    const end = gate()
    const runtime: Runtime = {
      ...platformRuntime,
      random: () => 0.5,
      sleep: async (ms, signal) => {
        const isLook = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000].includes(ms)
        if (!isLook) return platformRuntime.sleep(ms, signal)
        looks.push(ms)
        if (looks.length <= 7) return platformRuntime.sleep(0, signal)
        void end.pass()
        return platformRuntime.sleep(Number.POSITIVE_INFINITY, signal)
      },
    }
    await order(programOf(newer, store)).execute('a', place)
    const seen: string[] = []
    const mailer = defineSubscription({ name: 'mailer', aggregates: [older], handle: ({ id }) => void seen.push(id) })
    const app = createApp({
      store: counted,
      aggregates: { order: older },
      subscriptions: { mailer },
      // What polls does so in another rhythm.
      following: { pollMs: 3_600_000 },
      runtime,
      observe: () => {},
    })
    kept(app)
    await app.start()
    await end.reached
    expect(looks).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
    expect(leases).toEqual(['subscription/mailer'])
    expect(reads).toBeLessThanOrEqual(1 + 7)
  })

  test.each(policies)("a started older program leaves no stop or parked event with onFailure '%s'", async (onFailure) => {
    const store = memoryStore()
    const following = { pollMs: 30, leaseMs: 400 }
    const old = programOf(older, store, { onFailure, following })
    await old.app.start()
    await order(old).execute('a', placeBefore as never)
    await until(() => old.seen.length === 1)
    const young = programOf(newer, store, { onFailure, following })
    await young.app.start()
    await order(young).execute('b', place)
    await until(() => young.seen.includes('order/b/1'))
    await old.app.close()
    for (let i = 0; i < 5; i++) await order(young).execute(`c${i}`, i % 2 ? place : pay)
    await until(async () => old.seen.length + young.seen.length >= 7 && (await viewed(young)) === 7)
    expect([...old.seen, ...young.seen].sort()).toEqual([
      'order/a/1',
      'order/b/1',
      ...[0, 1, 2, 3, 4].map((i) => `order/c${i}/1`),
    ])
    expect(await troubles(store)).toBe(0)
  })
})

describe('a sqlView of an older program', () => {
  test('an older sqlView leaves a newer event, refuses rebuild() and continues later', async () => {
    const database = new LibSql(':memory:')
    const store = sqliteStore(database as unknown as SqliteDatabase)
    await store.createSchema()
    database.exec('CREATE TABLE lines (id text)')
    type Client = typeof database
    const make = (of: typeof older | typeof newer) => {
      const lines = defineSqlView({
        name: 'lines',
        aggregates: [of as typeof newer],
        update: (client: Client, { id }) => client.prepare('INSERT INTO lines VALUES (?)').run(id),
        reset: (client: Client) => client.prepare('DELETE FROM lines').run(),
      })
      const app = {
        store,
        aggregates: { order: of as typeof newer },
        views: { lines },
        following: { leaseMs: 200 },
        observe: () => {},
      }
      return kept(createApp(app))
    }
    const [old, young] = [make(older), make(newer)]
    await old.aggregates.order.execute('a', placeBefore as never)
    await young.aggregates.order.execute('b', place)
    const rows = () => (database.prepare('SELECT id FROM lines').all() as { id: string }[]).map(({ id }) => id)
    expect(await old.drain()).toEqual({ caughtUp: false, events: 1 })
    expect((await failureOf(old.views.lines.rebuild())).message).toContain('leaves event order/b/1')
    expect(rows()).toEqual(['order/a/1'])
    expect((await failureOf(old.views.lines.caughtUp())).message).toContain('leaves event order/b/1')
    expect(await troubles(store)).toBe(0)
    await young.drain()
    expect(rows()).toEqual(['order/a/1', 'order/b/1'])
    await old.aggregates.order.execute('c', placeBefore as never)
    expect(await old.drain()).toEqual({ caughtUp: true, events: 1 })
    expect(rows()).toEqual(['order/a/1', 'order/b/1', 'order/c/1'])
  })
})

test('a subscription in partitions leaves a newer event to the newer program', async () => {
  const store = memoryStore()
  const [old, young] = [programOf(older, store, { partitions: 16 }), programOf(newer, store, { partitions: 16 })]
  await order(young).execute('a', place)
  expect((await old.app.drain()).caughtUp).toBe(false)
  expect(await troubles(store)).toBe(0)
  expect((await young.app.drain()).caughtUp).toBe(true)
  expect((await old.app.drain()).caughtUp).toBe(true)
  expect(young.seen).toEqual(['order/a/1'])
})

test('an older program continues after a newer one has changed the number of partitions', async () => {
  const store = memoryStore()
  const later = { ...platformRuntime, now: () => new Date(Date.now() + 120_000) }
  const [old, young] = [programOf(older, store), programOf(newer, store, { partitions: 4, runtime: later })]
  await order(young).execute('a', place)
  expect((await old.app.drain()).caughtUp).toBe(false)
  expect((await young.app.drain()).caughtUp).toBe(true)
  await order(old).execute('b', placeBefore as never)
  expect((await old.app.drain()).caughtUp).toBe(true)
  expect([old.seen, young.seen]).toEqual([['order/b/1'], ['order/a/1']])
})

test('a newer program delivers what no other could read, also beside thousands of failed events', async () => {
  const store = memoryStore()
  const handle = ({ id }: { readonly id: string }) => {
    if (id.startsWith('order/bad')) throw new Error('no')
  }
  const old = programOf(older, store, { onFailure: 'park', handle })
  await Promise.all(Array.from({ length: 1_200 }, (_, i) => order(old).execute(`bad${i}`, placeBefore as never)))
  const ids = Array.from({ length: 30 }, (_, i) => `p${i}`)
  for (const id of ids) await storedBefore(store, 'order', id, { type: 'Paid', data: { by: 'card' } })
  await old.app.drain()
  const young = programOf(newer, store, { onFailure: 'park', handle })
  await young.app.drain()
  expect(young.seen.sort()).toEqual(ids.map((id) => `order/${id}/1`).sort())
})

describe('the stream of a Lambda function of an older program', () => {
  test("an older program's stream fails the newer event alone, which the newer one processes", async () => {
    const store = unordered(memoryStore())
    const [old, young] = [programOf(older, store, { onFailure: 'park' }), programOf(newer, store)]
    await order(young).execute('a', place)
    await order(old).execute('b', placeBefore as never)
    const change = (aggregateId: string) => ({ aggregateType: 'order', aggregateId, sequence: 1 })
    const outcomes = await old.app.catchUp([change('a'), change('b')])
    expect(outcomes[0]).toMatchObject({ error: { code: 'STOPPED', eventId: 'order/a/1' } })
    expect(outcomes[1]).toBeUndefined()
    expect(old.seen).toEqual(['order/b/1'])
    expect(await troubles(store)).toBe(0)
    expect(await young.app.catchUp([change('a')])).toEqual([undefined])
    expect(young.seen).toEqual(['order/a/1'])
  })

  test("a newer program's stream processes an event that an older program has stopped at", async () => {
    const store = unordered(memoryStore())
    await storedBefore(store, 'order', 'a', { type: 'Paid', data: { by: 'card' } })
    const change = { aggregateType: 'order', aggregateId: 'a', sequence: 1 }
    const [old, young] = [programOf(older, store), programOf(newer, store)]
    expect((await old.app.catchUp([change]))[0]).toBeDefined()
    expect(await troubles(store)).toBe(2)
    expect(await young.app.catchUp([change])).toEqual([undefined])
    expect([young.seen, await troubles(store)]).toEqual([['order/a/1'], 0])
  })
})

describe('an aggregate that is parked', () => {
  test('a parked aggregate goes to the newer program after the older delivered what it can', async () => {
    const store = memoryStore()
    let isBroken = true
    const handle = () => {
      if (isBroken) throw new Error('no mail')
    }
    const options = { onFailure: 'park', handle } as const
    const [old, young] = [programOf(older, store, options), programOf(newer, store, options)]
    await order(old).execute('a', placeBefore as never)
    await order(young).execute('a', place)
    await old.app.drain()
    isBroken = false
    await old.app.subscriptions.mailer.resume()
    await old.app.drain()
    await old.app.drain()
    expect(old.seen).toEqual(['order/a/1'])
    await young.app.drain()
    expect(young.seen).toEqual(['order/a/2'])
    expect((await young.app.subscriptions.mailer.parked()).items).toEqual([])
  })
})

describe('readers first, writers later', () => {
  // Release 1 still writes 1.0 and reads 2.0 as 1.0.
  const readsNewer: Upcaster = {
    canUpcast: (type, version) => type === 'Placed' && version === '2.0',
    upcast: (event) => ({ ...event, version: '1.0', data: { price: (event.data as { cents: number }).cents / 100 } }),
  }
  const between = defineAggregate({
    type: 'order',
    events: { Placed: typed<{ price: number }>(), Paid: typed<{ by: string }>() },
    commands: { Place: typed<{ price: number }>() },
    initialState: () => ({}),
    upcasters: [readsNewer],
  }).implement({
    handle: { Place: (_, data) => ({ type: 'Placed', data }) },
    apply: { Placed: (state) => state, Paid: (state) => state },
  })

  test('three releases side by side process every event, whichever takes the lease', async () => {
    const store = memoryStore()
    const programs = [programOf(between as never, store), programOf(newer, store)]
    const old = programOf(older, store)
    await order(old).execute('a', placeBefore as never)
    await order(programs[0] as Program).execute('a', placeBefore as never)
    // What the release between writes, the first still reads.
    expect((await old.app.drain()).caughtUp).toBe(true)
    await order(programs[1] as Program).execute('a', place)
    await order(programs[1] as Program).execute('a', pay)
    for (const { app } of programs) expect((await app.drain()).caughtUp).toBe(true)
    expect(programs[0]?.seen).toEqual(['order/a/3', 'order/a/4'])
    const { events } = await store.readAggregate({ aggregateType: 'order', aggregateId: 'a', after: 0 })
    expect(events.map(({ version }) => version)).toEqual(['1.0', '1.0', '2.0', '1.0'])
  })
})
