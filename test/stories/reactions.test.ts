import { createApp, defineAggregate, defineSubscription, reject, type Store, type SubscriptionOptions, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { givenLog } from 'cqrs-es/testing'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { onSqlite } from '../support/sqlite.ts'
import { unordered } from '../support/stores.ts'

const stock = defineAggregate({
  type: 'stock',
  events: { Reserved: typed<{ for: string }>() },
  commands: { Reserve: typed<{ for: string }>(), Refuse: typed<object>(), Skip: typed<object>(), Fail: typed<object>() },
  initialState: () => ({ reserved: 0 }),
}).implement({
  handle: {
    Reserve: (_, data) => ({ type: 'Reserved', data }),
    Refuse: () => reject('no'),
    Skip: () => undefined,
    Fail: () => {
      throw new Error('broken')
    },
  },
  apply: { Reserved: ({ reserved }) => ({ reserved: reserved + 1 }) },
})
const reserve = (line = 'o-1') => ({ type: 'Reserve' as const, data: { for: line } })

type Reserving = SubscriptionOptions<'reserve', readonly [typeof counter], 'Counted'>
type Handler = NonNullable<Reserving['handle']>
type BatchHandler = NonNullable<Reserving['handleBatch']>

const kept = keeping()
function reserving(store: Store, options: object) {
  const subscription = defineSubscription({ name: 'reserve', aggregates: [counter], ...options } as unknown as Reserving)
  const app = createApp({ store, aggregates: { counter, stock }, subscriptions: { subscription }, observe: () => {} })
  return { ...kept(app), subscription }
}
const reserved = async (app: ReturnType<typeof reserving>, id = 'tea') => (await app.aggregates.stock.load(id)).state.reserved

const same = "The handler of 'reserve' uses the same reaction() for two commands to stock 'tea'."

describe.each([
  ['memory', async () => memoryStore()],
  ['SQLite', onSqlite],
  ['a store without a global order', async () => unordered(memoryStore())],
])('a reaction on %s', (_, open) => {
  const twice = async (handle: Handler, options: object = {}) => {
    const app = reserving(await open(), { handle, ...options })
    await app.aggregates.counter.execute('o', count(1))
    await app.drain()
    return app
  }

  test.each<[string, Handler]>([
    [
      'one after the other',
      async (_, { app, reaction }) => {
        for (let line = 0; line < 2; line++) await app.aggregate(stock).execute('tea', reserve(), reaction())
      },
    ],
    [
      'with spread options',
      async (_, { app, reaction }) => {
        const options = { ...reaction(), metadata: { line: 1 } }
        for (let line = 0; line < 2; line++) await app.aggregate(stock).execute('tea', reserve(), { ...options })
      },
    ],
    [
      'at the same time',
      async (_, { app, reaction }) => {
        const lines = [1, 2].map(() => app.aggregate(stock).execute('tea', reserve(), reaction()))
        await Promise.all((await Promise.allSettled(lines)).map((_, i) => lines[i]))
      },
    ],
    [
      'although the handler catches the error',
      async (_, { app, reaction }) => {
        for (let line = 0; line < 2; line++)
          await app
            .aggregate(stock)
            .execute('tea', reserve(), reaction())
            .catch(() => {})
      },
    ],
    [
      'with different data',
      async (_, { app, reaction }) => {
        for (const line of ['1', '2']) await app.aggregate(stock).execute('tea', reserve(line), reaction())
      },
    ],
    [
      'with the same name',
      async (_, { app, reaction }) => {
        for (const line of ['1', '2']) await app.aggregate(stock).execute('tea', reserve(line), reaction('line'))
      },
    ],
  ])('a reaction used for two commands fails the delivery: %s', async (_, handle) => {
    const app = await twice(handle)
    const failure = await failureOf(app.subscriptions.subscription.caughtUp())
    expect(failure.code).toBe('STOPPED')
    expect(failure.message).toContain(same)
    expect(await reserved(app)).toBe(1)
    // The same in the test kit, though a test says nothing of what is stored.
    const log = givenLog().of(counter, 'o', [{ type: 'Counted', data: { by: 1 } }])
    await log.deliveredTo(app.subscription).thenFails(same)
    await expect(log.deliveredTo(app.subscription).thenCommands([])).rejects.toMatchObject({ code: 'DEFINITION' })
  })

  test('a reaction used twice fails each attempt and stores the first command once', async () => {
    let calls = 0
    const app = await twice(
      async (_, { app, reaction }) => {
        calls++
        for (let line = 0; line < 2; line++) await app.aggregate(stock).execute('tea', reserve(), reaction())
      },
      { maxAttempts: 3 },
    )
    expect([calls, await reserved(app)]).toEqual([3, 1])
  })

  test('a reaction used twice is refused when the handler uses an app from outside', async () => {
    const store = await open()
    const outside = reserving(store, { handle: () => {} })
    await twiceOn(store, async (_, { reaction }) => {
      for (let line = 0; line < 2; line++) await outside.aggregates.stock.execute('tea', reserve(), reaction())
    })
    expect(await reserved(outside)).toBe(1)
  })
  async function twiceOn(store: Store, handle: Handler) {
    const app = reserving(store, { handle })
    await app.aggregates.counter.execute('o', count(1))
    await app.drain()
    expect((await failureOf(app.subscriptions.subscription.caughtUp())).message).toContain(same)
  }

  test('a reaction can be used again after a command that was rejected, empty or failed', async () => {
    const app = await twice(async (_, { app, reaction }) => {
      const tea = app.aggregate(stock)
      await tea.execute('tea', { type: 'Refuse', data: {} }, reaction())
      await tea.execute('tea', { type: 'Skip', data: {} }, reaction())
      await tea.execute('tea', { type: 'Fail', data: {} }, reaction()).catch(() => {})
      await tea.execute('tea', reserve(), reaction())
    })
    expect(await reserved(app)).toBe(1)
    await app.subscriptions.subscription.caughtUp()
  })

  test('a reaction may be sent to several aggregates and under several names', async () => {
    const app = await twice(async (_, { app, reaction }) => {
      for (const id of ['tea', 'milk']) await app.aggregate(stock).execute(id, reserve(), reaction())
      for (const line of ['1', '2']) await app.aggregate(stock).execute('tea', reserve(), reaction(line))
    })
    expect([await reserved(app), await reserved(app, 'milk')]).toEqual([3, 1])
    await app.subscriptions.subscription.caughtUp()
  })

  test('a reaction in a batch has the key of its event when the batch is cut differently', async () => {
    let failures = 1
    const handleBatch: BatchHandler = async (events, { app, reaction }) => {
      for (const event of events) await app.aggregate(stock).execute('tea', reserve(event.id), reaction(event))
      for (const event of events) await app.aggregate(stock).execute('milk', reserve(event.id), reaction({ ...event }, 'milk'))
      if (failures-- > 0) throw new Error('after the last')
    }
    const app = reserving(await open(), { handleBatch, onFailure: 'retry' })
    await app.aggregates.counter.execute('a', countEach(1, 2, 3))
    await app.drain()
    await app.drain()
    expect([await reserved(app), await reserved(app, 'milk')]).toEqual([3, 3])
    await app.subscriptions.subscription.caughtUp()
  })

  test.each<[string, BatchHandler]>([
    // @ts-expect-error the event is missing
    ['without an event', async (_, { app, reaction }) => app.aggregate(stock).execute('tea', reserve(), reaction())],
    // @ts-expect-error a name is no event
    ['with a name alone', async (_, { app, reaction }) => app.aggregate(stock).execute('tea', reserve(), reaction('tea'))],
    [
      'with an event of no batch',
      async ([event], { app, reaction }) =>
        app.aggregate(stock).execute('tea', reserve(), reaction({ ...event, id: 'x/1/1' } as never)),
    ],
    [
      'without an event, which is caught',
      async (_, { reaction }) => {
        try {
          reaction(undefined as never)
        } catch {}
      },
    ],
  ])('a reaction in a batch fails the delivery %s', async (_, handleBatch) => {
    const app = reserving(await open(), { handleBatch })
    await app.aggregates.counter.execute('a', countEach(1, 2))
    await app.drain()
    const failure = await failureOf(app.subscriptions.subscription.caughtUp())
    expect(failure.code).toBe('STOPPED')
    expect(failure.message).toContain('reaction(event, name?) needs an event of the current batch')
    expect(await reserved(app)).toBe(0)
    const log = givenLog().of(counter, 'o', [{ type: 'Counted', data: { by: 1 } }])
    await log.deliveredTo(app.subscription).thenFails('reaction(event, name?)')
  })

  test('a reaction fails the delivery when its name is no text', async () => {
    const app = await twice(async (event, { app, reaction }) =>
      app.aggregate(stock).execute('tea', reserve(), reaction(event as never)),
    )
    expect((await failureOf(app.subscriptions.subscription.caughtUp())).message).toContain('a name that is not a text')
  })
})
