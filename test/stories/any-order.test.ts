import { createApp, defineAggregate, defineView, reject, type SnapshotPolicy, type Store, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { collect } from '../support/async.ts'
import { standingStill } from '../support/runtime.ts'
import { changed } from '../support/stores.ts'

/** A purse that is never overdrawn; its state keeps only what apply makes of the events. */
const purseOf = (snapshots: SnapshotPolicy) =>
  defineAggregate({
    type: 'purse',
    events: { PutIn: typed<{ amount: number }>(), TakenOut: typed<{ amount: number; from: number }>() },
    commands: { PutIn: typed<{ amounts: readonly number[] }>(), TakeOut: typed<{ amount: number }>() },
    initialState: () => ({ balance: 0 }),
    snapshots,
  }).implement({
    handle: {
      PutIn: (_, { amounts }) => amounts.map((amount) => ({ type: 'PutIn' as const, data: { amount } })),
      TakeOut: async ({ balance }, { amount }) => {
        await Promise.resolve()
        return amount > balance ? reject('too-little') : { type: 'TakenOut', data: { amount, from: balance } }
      },
    },
    apply: {
      PutIn: ({ balance }, { amount }) => ({ balance: balance + amount }),
      TakenOut: ({ balance }, { amount }) => ({ balance: balance - amount }),
    },
  })

function viewsOf(purse: ReturnType<typeof purseOf>) {
  const initialView = () => ({ sum: 0, events: 0 })
  const update = {
    PutIn: (view: { sum: number; events: number }, { data }: { data: { amount: number } }) => ({
      sum: view.sum + data.amount,
      events: view.events + 1,
    }),
    TakenOut: (view: { sum: number; events: number }, { data }: { data: { amount: number } }) => ({
      sum: view.sum - data.amount,
      events: view.events + 1,
    }),
  }
  return {
    each: defineView({ name: 'each', aggregates: [purse], initialView, update, indexes: ['sum'] }),
    all: defineView({ name: 'all', aggregates: [purse], initialView, update, id: () => 'all' }),
  }
}

/** A store whose answers come in an order that the run decides. */
function shuffled(store: Store, s: fc.Scheduler): Store {
  const via =
    <A extends unknown[], R>(name: string, method: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      await s.schedule(Promise.resolve(), `${name} asked`)
      const answer = await method.apply(store, args)
      await s.schedule(Promise.resolve(), `${name} answered`)
      return answer
    }
  return changed(store, {
    append: via('append', store.append),
    readAggregate: via('readAggregate', store.readAggregate),
    readViews: via('readViews', store.readViews),
    readKey: via('readKey', store.readKey),
  })
}

const step = fc.record({
  process: fc.nat(1),
  id: fc.constantFrom('a', 'b'),
  key: fc.option(fc.constantFrom('k1', 'k2', 'k3'), { nil: undefined }),
  command: fc.oneof(
    fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 4 }).map((amounts) => ({ type: 'PutIn', data: { amounts } }) as const),
    fc.integer({ min: 1, max: 12 }).map((amount) => ({ type: 'TakeOut', data: { amount } }) as const),
  ),
})
const policy = fc.constantFrom<SnapshotPolicy>('never', 'always', { every: 1 }, { every: 3 })
const cache = fc.constantFrom<false | { maxAggregates: number }>(false, { maxAggregates: 1 }, { maxAggregates: 10 })

describe('any commands in two processes, with store answers in any order', () => {
  const cases = fc.asyncProperty(
    fc.scheduler(),
    fc.array(step, { maxLength: 12 }),
    policy,
    cache,
    async (s, steps, snapshots, size) => {
      const memory = memoryStore()
      const purse = purseOf(snapshots)
      const views = viewsOf(purse)
      const apps = [0, 1].map(() =>
        createApp({
          store: shuffled(memory, s),
          aggregates: { purse },
          views,
          cache: size,
          maxAttempts: 51,
          runtime: { ...standingStill().runtime, sleep: () => s.schedule(Promise.resolve(), 'waited') },
        }),
      )
      const running = steps.map(({ process, id, key, command }) =>
        Promise.allSettled([
          (apps[process] as (typeof apps)[0]).aggregates.purse.execute(
            id,
            command,
            key === undefined ? {} : { idempotencyKey: key },
          ),
        ]).then(([outcome]) => ({ id, key, command, outcome })),
      )
      await s.waitFor(Promise.all(running))
      const results = await Promise.all(running)
      for (const { outcome } of results)
        if (outcome.status === 'rejected' && outcome.reason.code !== 'IDEMPOTENCY') throw outcome.reason

      const auditor = createApp({ store: memory, aggregates: { purse: purseOf('never') }, views, cache: false })
      const log = await collect(auditor.events())
      expect(log.map((event) => Number(event.position))).toEqual(log.map((_, i) => i + 1))

      const accepted = results.flatMap(({ id, key, outcome }) =>
        outcome.status === 'fulfilled' && outcome.value.ok ? [{ id, key, ...outcome.value }] : [],
      )
      let all = 0
      for (const id of ['a', 'b']) {
        const events = log.filter((event) => event.aggregateId === id)
        expect(events.map((event) => event.sequence)).toEqual(events.map((_, i) => i + 1))
        let balance = 0
        for (const event of events) {
          if (event.type === 'TakenOut') expect(event.data.from).toBe(balance)
          balance += event.type === 'PutIn' ? event.data.amount : -event.data.amount
          expect(balance).toBeGreaterThanOrEqual(0)
        }
        all += balance
        const stored = accepted.filter((result) => result.id === id && !result.replayed).flatMap((result) => result.events)
        expect(stored.sort((a, b) => a.sequence - b.sequence)).toEqual(events)
        for (const app of [auditor, ...apps]) {
          const loading = app.aggregates.purse.load(id)
          await s.waitFor(loading)
          expect(await loading).toEqual({ state: { balance }, sequence: events.length })
        }
        const row = await auditor.views.each.load(id)
        expect(row?.view).toEqual(events.length === 0 ? undefined : { sum: balance, events: events.length })
        if (row) expect((await auditor.views.each.find({ sum: balance })).items).toContainEqual(row)

        for (const key of ['k1', 'k2', 'k3']) {
          const first = accepted.filter((result) => result.id === id && result.key === key && result.events.length > 0)
          expect(first.filter(({ replayed }) => !replayed).length).toBeLessThanOrEqual(1)
          for (const { replayed, ...rest } of first) expect(rest).toEqual({ ...first[0], replayed: undefined })
        }
      }
      expect((await auditor.views.all.load('all'))?.view).toEqual(log.length === 0 ? undefined : { sum: all, events: log.length })
    },
  )

  test('no purse is overdrawn, no sequence has a gap, and every view matches the log', async () => {
    await fc.assert(cases, { numRuns: 150 })
  })
})

test('sequential commands in one process match a simple model', async () => {
  const commands = fc.array(step, { maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(commands, policy, cache, async (steps, snapshots, size) => {
      const { purse } = createApp({
        store: memoryStore(),
        aggregates: { purse: purseOf(snapshots) },
        cache: size,
        maxAttempts: 1,
      }).aggregates
      const balances = new Map<string, { balance: number; sequence: number }>()
      for (const { id, command } of steps) {
        const before = balances.get(id) ?? { balance: 0, sequence: 0 }
        const change = command.type === 'PutIn' ? command.data.amounts : [-command.data.amount]
        const balance = change.reduce((sum, each) => sum + each, before.balance)
        const result = await purse.execute(id, command)
        if (balance < 0) expect(result).toEqual({ ok: false, reason: 'too-little', details: undefined })
        else {
          const sequence = before.sequence + change.length
          expect(result).toMatchObject({ ok: true, sequence, state: { balance } })
          balances.set(id, { balance, sequence })
        }
      }
      for (const [id, { balance, sequence }] of balances) expect(await purse.load(id)).toEqual({ state: { balance }, sequence })
    }),
    { numRuns: 100 },
  )
})

test('any JSON value in an event reads back unchanged, also in another process', async () => {
  const box = defineAggregate({
    type: 'box',
    events: { Packed: typed<{ contents: unknown }>() },
    commands: { Pack: typed<{ contents: unknown }>() },
    initialState: (): { last: unknown } => ({ last: null }),
  }).implement({
    handle: { Pack: (_, data) => ({ type: 'Packed', data }) },
    apply: { Packed: (_, { contents }) => ({ last: contents }) },
  })
  const anyId = fc.string({ unit: 'binary', minLength: 1, maxLength: 100 }).filter((id) => !/[\0\p{Cs}]/u.test(id))
  const clean = fc.jsonValue().filter((value) => !/__proto__|\\u0000|\\ud[89a-f]/.test(JSON.stringify(value)))
  await fc.assert(
    fc.asyncProperty(anyId, clean, async (id, contents) => {
      const store = memoryStore()
      const result = await createApp({ store, aggregates: { box } }).aggregates.box.execute(id, {
        type: 'Pack',
        data: { contents },
      })
      if (!result.ok) throw new Error('refused')
      const again = createApp({ store, aggregates: { box } }).aggregates.box
      expect(await collect(again.events(id))).toStrictEqual(result.events)
      expect(JSON.stringify(result.events[0]?.data)).toBe(JSON.stringify({ contents }))
      expect((await again.load(id)).state).toStrictEqual(result.state)
    }),
  )
})
