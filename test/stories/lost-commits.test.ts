import {
  createApp,
  defineAggregate,
  defineSubscription,
  defineView,
  reject,
  type SnapshotPolicy,
  type Store,
  typed,
} from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { changed } from '../support/stores.ts'

const purseWith = (snapshots: SnapshotPolicy) =>
  defineAggregate({
    type: 'purse',
    events: { Put: typed<{ n: number }>(), Took: typed<{ n: number }>() },
    commands: { Put: typed<{ n: number }>(), Take: typed<{ n: number }>() },
    initialState: () => ({ coins: 0 }),
    snapshots,
  }).implement({
    handle: {
      Put: (_, data) => ({ type: 'Put', data }),
      Take: ({ coins }, { n }) => (coins < n ? reject('too-few', { coins }) : { type: 'Took', data: { n } }),
    },
    apply: { Put: ({ coins }, { n }) => ({ coins: coins + n }), Took: ({ coins }, { n }) => ({ coins: coins - n }) },
  })
const purse = purseWith('never')

const put = (n: number) => ({ type: 'Put', data: { n } }) as const
const take = (n: number) => ({ type: 'Take', data: { n } }) as const
const balances = defineView({
  name: 'balances',
  aggregates: [purse],
  initialView: () => ({ coins: 0 }),
  update: {
    Put: (view, { data }) => ({ coins: view.coins + data.n }),
    Took: (view, { data }) => ({ coins: view.coins - data.n }),
  },
})

const dust = defineAggregate({
  type: 'dust',
  events: { Fell: typed<object>() },
  commands: { Fall: typed<object>() },
  initialState: () => ({}),
}).implement({ handle: { Fall: () => ({ type: 'Fell', data: {} }) }, apply: { Fell: (state) => state } })

/** A memory store with a backup. `restore` puts the backup in its place: what was stored since `backUp` is lost, and no client notices. */
function restorable() {
  const backup = memoryStore()
  let [current, isBackedUp] = [memoryStore(), false]
  const store = changed(backup, {})
  const route = new Proxy(store, {
    get: (_, name) => {
      if (name === 'append')
        return async (commits: Parameters<Store['append']>[0]) => {
          if (!isBackedUp) await backup.append(commits)
          return current.append(commits)
        }
      const member: unknown = Reflect.get(current, name)
      return typeof member === 'function' ? member.bind(current) : member
    },
  })
  return {
    store: route,
    backUp: () => {
      isBackedUp = true
    },
    restore: () => {
      current = backup
    },
  }
}

/** A warm app has `Put 1` and `Put 5`; the database has lost the second, and another process has stored `Put 2` in its place. */
async function afterALoss(snapshots: SnapshotPolicy = 'never') {
  const { store, backUp, restore } = restorable()
  const aggregates = { purse: purseWith(snapshots) }
  const warm = createApp({ store, aggregates }).aggregates.purse
  await warm.execute('p', put(1))
  backUp()
  await warm.execute('p', put(5))
  restore()
  const other = createApp({ store, aggregates }).aggregates.purse
  await other.execute('p', put(2))
  return { warm, other }
}

describe.each<SnapshotPolicy>(['never', 'always', { every: 2 }])(
  'a process that remembers lost events, snapshots %j',
  (snapshots) => {
    test('a command after a loss is decided on what is stored, and stores no overdraft', async () => {
      const { warm, other } = await afterALoss(snapshots)
      expect(await warm.execute('p', take(5))).toMatchObject({ ok: false, reason: 'too-few', details: { coins: 3 } })
      expect(await warm.execute('p', take(3))).toMatchObject({ ok: true, sequence: 3, state: { coins: 0 } })
      expect(await other.load('p')).toEqual({ state: { coins: 0 }, sequence: 3 })
    })

    test('load() after a loss returns what is stored, also the state of an earlier sequence', async () => {
      const { warm } = await afterALoss(snapshots)
      expect(await warm.load('p', { asOf: 2 })).toEqual({ state: { coins: 3 }, sequence: 2 })
      expect(await warm.load('p')).toEqual({ state: { coins: 3 }, sequence: 2 })
    })

    test('a command after a loss is rejected on what is stored', async () => {
      const { warm } = await afterALoss(snapshots)
      expect(await warm.execute('p', take(9))).toMatchObject({ ok: false, details: { coins: 3 } })
    })

    test('a command with expectedSequence after a loss is checked against what is stored', async () => {
      const { warm } = await afterALoss(snapshots)
      expect(await warm.execute('p', take(5), { expectedSequence: 2 })).toMatchObject({ ok: false, details: { coins: 3 } })
      expect((await failureOf(warm.execute('p', take(1), { expectedSequence: 3 }))).code).toBe('CONFLICT')
      expect(await warm.execute('p', take(1), { expectedSequence: 2 })).toMatchObject({ ok: true, state: { coins: 2 } })
    })
  },
)

test('64 concurrent commands after a loss store no overdraft', async () => {
  const { warm, other } = await afterALoss()
  const results = await Promise.all(Array.from({ length: 64 }, () => warm.execute('p', take(1))))
  expect(results.filter(({ ok }) => ok)).toHaveLength(3)
  expect(await other.load('p')).toEqual({ state: { coins: 0 }, sequence: 5 })
})

test('an inline view after a loss of events matches what is stored', async () => {
  const { store, backUp, restore } = restorable()
  const open = () => createApp({ store, aggregates: { purse }, views: { balances } })
  const warm = open()
  await warm.aggregates.purse.execute('p', put(1))
  backUp()
  await warm.aggregates.purse.execute('p', put(5))
  restore()
  await open().aggregates.purse.execute('p', put(2))
  await warm.aggregates.purse.execute('p', put(4))
  expect(await warm.views.balances.load('p')).toMatchObject({ view: { coins: 7 } })
  expect((await warm.aggregates.purse.load('p')).state).toEqual({ coins: 7 })
})

test('a process forgets a lost state as soon as it notices the loss', async () => {
  const { store, backUp, restore } = restorable()
  let reads = 0
  const counting = changed(store, {
    readAggregate: (request) => {
      reads++
      return store.readAggregate(request)
    },
  })
  const warm = createApp({ store: counting, aggregates: { purse }, cache: {} }).aggregates.purse
  await warm.execute('p', put(1))
  backUp()
  await warm.execute('p', put(5))
  await warm.execute('p', put(7))
  restore()
  expect(await warm.load('p')).toEqual({ state: { coins: 1 }, sequence: 1 })
  reads = 0
  expect(await warm.load('p')).toEqual({ state: { coins: 1 }, sequence: 1 })
  expect(reads).toBe(1)
})

test('a process decides again from the initial state when the whole aggregate is lost', async () => {
  const { store, backUp, restore } = restorable()
  const warm = createApp({ store, aggregates: { purse } }).aggregates.purse
  backUp()
  await warm.execute('p', put(5))
  restore()
  expect(await warm.execute('p', take(5))).toMatchObject({ ok: false, details: { coins: 0 } })
  expect(await warm.load('p')).toEqual({ state: { coins: 0 }, sequence: 0 })
  expect(await warm.execute('p', put(1))).toMatchObject({ ok: true, sequence: 1 })
})

test('a running subscription receives the events that replace lost ones', async () => {
  const { store, backUp, restore } = restorable()
  const other = createApp({ store, aggregates: { purse, dust } })
  const received: string[] = []
  const mailer = defineSubscription({ name: 'mailer', aggregates: [purse], handle: (event) => void received.push(event.id) })
  const following = { pollMs: 5 }
  const app = createApp({ store, aggregates: { purse, dust }, subscriptions: { mailer }, following, observe: () => {} })
  await other.aggregates.purse.execute('p', put(1))
  await app.start()
  await app.subscriptions.mailer.caughtUp()
  backUp()
  await other.aggregates.dust.execute('d', { type: 'Fall', data: {} })
  await app.subscriptions.mailer.caughtUp()
  restore()
  const fresh = createApp({ store, aggregates: { purse, dust } })
  await fresh.aggregates.purse.execute('q', put(2))
  await fresh.aggregates.purse.execute('p', put(3))
  // The checkpoint is older than the loss too, so what came before may come again.
  await expect.poll(() => [...new Set(received)]).toEqual(['purse/p/1', 'purse/q/1', 'purse/p/2'])
  await app.close()
})
