import { createApp, defineAggregate, defineView, noData, type Store, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test, vi } from 'vitest'
import { patienceMs } from '../strength.ts'
import { failureOf, gate } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { changed } from '../support/stores.ts'
import { sizesOf, totalsOf } from '../support/totals.ts'

const kept = keeping()

/** A process with a view whose rows several aggregates write: nothing but the order of things keeps an event from counting twice there. */
function sizesOn(store: Store, viewVersion = 1, consistency: 'inline' | 'async' = 'inline') {
  const views = { sizes: sizesOf(consistency, { viewVersion }) }
  return kept(createApp({ store, aggregates: { counter }, views, observe: () => {}, following: { pollMs: 20 } }))
}
type Bank = ReturnType<typeof sizesOn>

let ids = 0
const write = async ({ aggregates }: Bank, times: number) => {
  for (let i = 0; i < times; i++) await aggregates.counter.execute(`c${++ids}`, count(1))
}
const timesOf = async ({ views }: Bank) => (await views.sizes.load('by-1'))?.view.times ?? 0
const statesOf = async (store: Store, name = 'sizes') =>
  (await store.viewGenerations(name)).map(({ generation, viewVersion, state }) => `${generation} of ${viewVersion} ${state}`)

/** A store that does something once, before one of its calls. */
function justBefore<M extends 'acquireLease' | 'switchViewGeneration' | 'endPosition'>(
  store: Store,
  method: M,
  isIt: (request: Parameters<Store[M]>[0]) => boolean,
  happens: () => Promise<unknown>,
): Store {
  let isOver = false
  return changed(store, {
    [method]: async (request: never) => {
      if (!isOver && isIt(request)) {
        isOver = true
        await happens()
      }
      return (store[method] as (request: never) => unknown)(request)
    },
  })
}

describe('two processes that rebuild one view', () => {
  test.each([
    ['rebuild()', 1, (app: Bank) => app.views.sizes.rebuild()],
    ['drain()', 2, (app: Bank) => app.drain()],
  ] as const)('a process that takes the lease after a rebuild by %s projects no event a second time', async (_, version, run) => {
    const store = memoryStore()
    const old = sizesOn(store)
    await write(old, 5)
    const quick = sizesOn(store, version)
    // Between its look at the generation and the lease it is slow: the other has switched and settled, and commands have written the new rows.
    const slow = justBefore(
      store,
      'acquireLease',
      ({ name }) => name === 'view/2/sizes',
      async () => {
        await run(quick)
        await write(quick, 3)
      },
    )
    await run(sizesOn(slow, version))
    expect(await timesOf(quick)).toBe(8)
    await write(quick, 1)
    expect(await timesOf(sizesOn(store, version))).toBe(9)
  })

  test.each([
    ['rebuild()', 1, 2, (app: Bank) => app.views.sizes.rebuild()],
    ['drain()', 2, 1, (app: Bank) => app.drain()],
  ] as const)(
    'a process that reads the end of the log after a rebuild by %s projects no event twice',
    async (_, version, nth, run) => {
      const store = memoryStore()
      const old = sizesOn(store)
      await write(old, 5)
      const quick = sizesOn(store, version)
      let looks = 0
      // It has seen the generation building. Before it looks how far to read, the other has settled it, and commands have written the new rows.
      const slow = justBefore(
        store,
        'endPosition',
        () => ++looks === nth,
        async () => {
          await run(quick)
          await write(quick, 3)
        },
      )
      await run(sizesOn(slow, version))
      expect(looks).toBeGreaterThanOrEqual(nth)
      expect(await timesOf(quick)).toBe(8)
      await write(quick, 1)
      expect(await timesOf(sizesOn(store, version))).toBe(9)
    },
  )

  test('several processes rebuild a new version of a view once', async () => {
    const store = memoryStore()
    await write(sizesOn(store), 50)
    const many = [1, 2, 3].map(() => sizesOn(store, 2))
    for (const app of many) await app.drain({ budgetMs: 0 })
    for (const app of many) await app.start()
    await vi.waitUntil(async () => (await statesOf(store)).includes('2 of 2 live'), { timeout: patienceMs })
    for (const app of many) expect(await timesOf(app)).toBe(50)
    for (const app of [...many, sizesOn(store, 2)]) await app.drain()
    expect((await statesOf(store)).filter((state) => state.includes('of 2'))).toEqual(['2 of 2 live'])
  })

  test('a rebuild of the old version is refused when a newer version goes live first', async () => {
    const store = memoryStore()
    const bystander = sizesOn(store)
    await write(bystander, 5)
    const door = gate()
    const young = sizesOn(
      justBefore(
        store,
        'switchViewGeneration',
        () => true,
        async () => {
          await write(bystander, 1)
          await door.pass()
        },
      ),
      2,
    )
    const drained = young.drain()
    await door.reached
    // It comes to its own switch while the new version is about to make its.
    const repairing = sizesOn(
      justBefore(
        store,
        'switchViewGeneration',
        () => true,
        async () => {
          door.open()
          await drained
        },
      ),
    )
    const progress: boolean[] = []
    const failure = await failureOf(repairing.views.sizes.rebuild({ onProgress: ({ done }) => progress.push(done) }))
    expect(failure.code).toBe('VIEW_OUTDATED')
    expect(progress).not.toContain(true)
    expect(await timesOf(young)).toBe(6)
    await write(young, 1)
    expect(await timesOf(sizesOn(store, 2))).toBe(7)
  })

  test('a new version goes live after a repair by the old version', async () => {
    const store = memoryStore()
    const old = sizesOn(store)
    await write(old, 5)
    const young = sizesOn(
      justBefore(
        store,
        'switchViewGeneration',
        () => true,
        () => old.views.sizes.rebuild(),
      ),
      2,
    )
    await young.drain()
    expect((await statesOf(store)).at(0)).toBe('2 of 2 live')
    expect(await timesOf(young)).toBe(5)
    await old.drain()
    expect(await timesOf(young)).toBe(5)
  })
})

describe('a version of a view that started before another one', () => {
  test('a version that started before a newer live one does not go live and reports it', async () => {
    const store = memoryStore()
    await write(sizesOn(store), 5)
    const middle = sizesOn(store, 2)
    await middle.drain({ maxEvents: 1 })
    expect(await statesOf(store)).toContain('2 of 2 building')
    const young = sizesOn(store, 3)
    await young.drain()
    expect(await middle.drain()).toMatchObject({ caughtUp: false })
    expect((await failureOf(middle.views.sizes.caughtUp())).code).toBe('VIEW_OUTDATED')
    expect(await timesOf(young)).toBe(5)
    // Whoever wants it back says so.
    await middle.views.sizes.rebuild()
    expect(await timesOf(middle)).toBe(5)
    expect(await sizesOn(store, 3).drain()).toMatchObject({ caughtUp: false })
  })

  test('a version goes live when the newer one that was about to never did', async () => {
    const store = memoryStore()
    await write(sizesOn(store), 5)
    const middle = sizesOn(store, 2)
    await middle.drain({ maxEvents: 1 })
    const dying = changed(store, { switchViewGeneration: () => Promise.reject(new Error('killed')) })
    expect((await failureOf(sizesOn(dying, 3).drain())).message).toBe('killed')
    await middle.drain()
    expect(await timesOf(middle)).toBe(5)
  })
})

describe('a program whose version is not live yet', () => {
  test('a program with a new version works as soon as another process has rebuilt the rows', async () => {
    const store = memoryStore()
    await write(sizesOn(store), 2)
    const waiting = sizesOn(store, 2)
    expect((await failureOf(write(waiting, 1))).code).toBe('VIEW_OUTDATED')
    expect((await failureOf(waiting.views.sizes.find())).code).toBe('VIEW_OUTDATED')
    await sizesOn(store, 2).views.sizes.rebuild()
    await write(waiting, 1)
    expect((await waiting.views.sizes.find()).items.map(({ view }) => view.times)).toEqual([3])
  })

  test('the status of a new version is stopped, with the error, when its rebuild cannot continue', async () => {
    const store = memoryStore()
    const viewOf = (viewVersion: number) =>
      defineView({
        name: 'sums',
        aggregates: [counter],
        initialView: () => ({ sum: 0 }),
        update: {
          Counted: ({ sum }, { data }) => {
            if (viewVersion === 2) throw new Error('a bug')
            return { sum: sum + data.by }
          },
        },
        consistency: 'async',
        viewVersion,
      })
    const make = (viewVersion: number) => {
      const app = createApp({ store, aggregates: { counter }, views: { sums: viewOf(viewVersion) }, observe: () => {} })
      kept(app)
      return app
    }
    const old = make(1)
    await old.aggregates.counter.execute('a', count(1))
    await old.drain()
    expect(await make(2).drain()).toMatchObject({ caughtUp: false })
    // Also in a process that has not met it itself.
    for await (const status of make(2).views.sums.status()) {
      expect(status).toMatchObject({ state: 'stopped', lag: 1, error: { code: 'STOPPED' } })
      break
    }
    for await (const status of old.views.sums.status()) {
      expect(status).toMatchObject({ state: 'idle', lag: 0 })
      break
    }
  })
})

describe('a view that starts with a version of its own', () => {
  const account = defineAggregate({
    type: 'account',
    events: { Opened: typed<{ owner: string }>(), Closed: noData },
    commands: { Open: typed<{ owner: string }>(), Close: noData },
    initialState: () => ({ open: false }),
  }).implement({
    handle: { Open: (_, data) => ({ type: 'Opened', data }), Close: () => ({ type: 'Closed' }) },
    apply: { Opened: () => ({ open: true }), Closed: () => ({ open: false }) },
  })

  test.each(['inline', 'async'] as const)(
    'a view is rebuilt although the version before has deleted all its rows (%s)',
    async (consistency) => {
      const store = memoryStore()
      const make = (viewVersion: number) => {
        const accounts = defineView({
          name: 'accounts',
          aggregates: [account],
          initialView: () => ({ owner: '', closed: false }),
          update: {
            Opened: (view, { data }) => ({ ...view, owner: data.owner }),
            Closed: (view) => (viewVersion === 1 ? null : { ...view, closed: true }),
          },
          consistency,
          viewVersion,
        })
        const app = createApp({ store, aggregates: { account }, views: { accounts }, observe: () => {} })
        kept(app)
        return app
      }
      const old = make(1)
      await old.aggregates.account.execute('a', { type: 'Open', data: { owner: 'ann' } })
      await old.aggregates.account.execute('a', { type: 'Close' })
      await old.drain()
      const young = make(2)
      await young.drain()
      expect((await young.views.accounts.load('a'))?.view).toEqual({ owner: 'ann', closed: true })
      expect((await young.views.accounts.find()).items.length).toBe(1)
    },
  )

  test('a view has all events although the version before made no rows of them', async () => {
    const store = memoryStore()
    const make = (viewVersion: number) => {
      const owners = defineView({
        name: 'owners',
        aggregates: [account],
        initialView: () => ({ accounts: 0 }),
        id: (event) => (viewVersion === 1 || event.type !== 'Opened' ? [] : event.data.owner),
        update: { Opened: ({ accounts }) => ({ accounts: accounts + 1 }) },
        consistency: 'async',
        viewVersion,
      })
      const app = createApp({ store, aggregates: { account }, views: { owners } })
      kept(app)
      return app
    }
    const open = (app: ReturnType<typeof make>, id: string) =>
      app.aggregates.account.execute(id, { type: 'Open', data: { owner: 'ann' } })
    const old = make(1)
    for (let i = 0; i < 5; i++) await open(old, `a${i}`)
    await old.drain()
    const young = make(2)
    await young.drain()
    await open(young, 'a5')
    await young.drain()
    expect((await young.views.owners.load('ann'))?.view).toEqual({ accounts: 6 })
  })

  test.each(['a command', 'a read', 'a drain'])(
    'a version keeps its rows to itself from %s on, whatever an older program knows',
    async (what) => {
      const store = memoryStore()
      const old = sizesOn(store)
      const young = sizesOn(store, 2)
      if (what === 'a command') await write(young, 1)
      else if (what === 'a read') await young.views.sizes.find()
      else await young.drain()
      expect(await statesOf(store)).toContain('2 of 2 live')
      const stored = what === 'a command' ? 1 : 0
      expect((await failureOf(write(old, 1))).code).toBe('VIEW_OUTDATED')
      await write(young, 1)
      expect(await timesOf(young)).toBe(stored + 1)
      await old.drain()
      expect(await statesOf(store)).toContain('2 of 2 live')
    },
  )

  test('a version has what an older program stored just before', async () => {
    const store = memoryStore()
    const old = sizesOn(store)
    const young = sizesOn(
      justBefore(
        store,
        'switchViewGeneration',
        () => true,
        () => write(old, 1),
      ),
      2,
    )
    await write(young, 1)
    expect(await timesOf(young)).toBe(2)
  })

  test('a version starts although the first process died while starting it', async () => {
    const store = memoryStore()
    const dying = changed(store, { switchViewGeneration: () => Promise.reject(new Error('killed')) })
    expect((await failureOf(write(sizesOn(dying, 2), 1))).message).toBe('killed')
    const next = sizesOn(store, 2)
    await write(next, 1)
    expect(await timesOf(next)).toBe(1)
  })
})

describe('rows that a switch left unsettled', () => {
  test('unsettled rows settle after resume() when an event of the switch could not be projected', async () => {
    const store = memoryStore()
    let isBroken = true
    const viewOf = (viewVersion: number) =>
      defineView({
        name: 'sums',
        aggregates: [counter],
        initialView: () => ({ sum: 0 }),
        id: () => 'all',
        update: {
          Counted: ({ sum }, { data }) => {
            if (viewVersion === 2 && isBroken && data.by === 7) throw new Error('seven')
            return { sum: sum + data.by }
          },
        },
        viewVersion,
      })
    const make = (on: Store, viewVersion: number) => {
      const app = createApp({ store: on, aggregates: { counter }, views: { sums: viewOf(viewVersion) }, observe: () => {} })
      kept(app)
      return app
    }
    const old = make(store, 1)
    await old.aggregates.counter.execute('a', count(1))
    const slow = justBefore(
      store,
      'switchViewGeneration',
      () => true,
      () => old.aggregates.counter.execute('a', count(7)),
    )
    expect((await failureOf(make(slow, 2).views.sums.rebuild())).code).toBe('STOPPED')
    const young = make(store, 2)
    expect(await young.drain()).toMatchObject({ caughtUp: false })
    expect((await failureOf(young.views.sums.load('all'))).code).toBe('STOPPED')
    for await (const status of young.views.sums.status()) {
      expect(status).toMatchObject({ state: 'stopped', lag: 1 })
      break
    }
    isBroken = false
    await young.views.sums.resume()
    expect((await young.views.sums.load('all'))?.view).toEqual({ sum: 8 })
  })

  test('unsettled rows are dropped when another generation goes live', async () => {
    const store = memoryStore()
    const old = sizesOn(store)
    await write(old, 5)
    let switches = 0
    const other = sizesOn(store, 3)
    const slow = changed(store, {
      switchViewGeneration: async (change) => {
        const done = await store.switchViewGeneration(change)
        if (++switches === 1) await other.drain()
        return done
      },
    })
    expect((await failureOf(sizesOn(slow, 2).views.sizes.rebuild())).code).toBe('VIEW_OUTDATED')
    expect(await timesOf(other)).toBe(5)
  })

  test('stale rows of older programs are not looked up in a retired generation', async () => {
    const store = memoryStore()
    const make = (viewVersion: number) => {
      const app = createApp({ store, aggregates: { counter }, views: { totals: totalsOf('inline', { viewVersion }) } })
      kept(app)
      return app
    }
    const [old, young, other] = [make(1), make(2), make(2)]
    await old.aggregates.counter.execute('a', count(1))
    await young.drain()
    await old.aggregates.counter.execute('a', count(1))
    expect((await young.views.totals.find()).items[0]?.view.count).toBe(2)
    await old.aggregates.counter.execute('a', count(1))
    await other.views.totals.rebuild()
    expect((await young.views.totals.find()).items[0]?.view.count).toBe(3)
  })
})
