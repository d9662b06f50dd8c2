import { ConflictError, createApp, defineAggregate, noData, type Observation, reject, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { collect, failureOf, gate, settled } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { standingStill } from '../support/runtime.ts'
import { overtaken, sendingBy } from '../support/stores.ts'

const appOn = (store = memoryStore(), maxAttempts = 4) =>
  createApp({ store, aggregates: { counter }, maxAttempts, runtime: standingStill().runtime }).aggregates.counter

const ticket = defineAggregate({
  type: 'ticket',
  events: { Issued: typed<{ to: string }>() },
  commands: { Issue: typed<{ to: string }>() },
  initialState: () => ({ to: '' }),
}).implement({
  handle: { Issue: (state, { to }) => (state.to === '' ? { type: 'Issued', data: { to } } : reject('taken', state.to)) },
  apply: { Issued: (_, { to }) => ({ to }) },
})

describe('several writers of one state', () => {
  test.each([2, 8])('exactly one of %i processes creates an aggregate', async (n) => {
    const store = memoryStore()
    const tickets = Array.from({ length: n }, () => createApp({ store, aggregates: { ticket } }).aggregates.ticket)
    const results = await Promise.all(tickets.map((t, i) => t.execute('t', { type: 'Issue', data: { to: `p${i}` } })))
    const winners = results.flatMap((result) => (result.ok ? [result.state.to] : []))
    expect(winners).toHaveLength(1)
    expect(results.filter((result) => !result.ok)).toEqual(Array(n - 1).fill({ ok: false, reason: 'taken', details: winners[0] }))
    expect(await store.lastPosition()).toBe('1')
  })

  test.each([2, 8])('exactly one of %i processes withdraws the whole balance', async (n) => {
    const store = memoryStore()
    await appOn(store).execute('c', count(10))
    const apps = Array.from({ length: n }, () => appOn(store))
    await Promise.all(apps.map((c) => c.load('c')))
    const results = await Promise.all(apps.map((c) => c.execute('c', count(-10))))
    expect(results.filter(({ ok }) => ok)).toHaveLength(1)
    expect(await appOn(store).load('c')).toEqual({ state: { total: 0 }, sequence: 2 })
  })

  test('a command is decided again when another process writes between its load and its append', async () => {
    const store = memoryStore()
    const decidedOn: number[] = []
    const first = defineAggregate({
      type: 'counter',
      events: { Counted: typed<{ by: number }>() },
      commands: { CountIfFirst: noData },
      initialState: () => ({ total: 0 }),
    }).implement({
      handle: {
        CountIfFirst: ({ total }, _, { sequence }) => {
          decidedOn.push(sequence)
          return total === 0 ? { type: 'Counted', data: { by: 100 } } : reject('not-first')
        },
      },
      apply: { Counted: ({ total }, { by }) => ({ total: total + by }) },
    })
    const quicker = overtaken(store, () => appOn(store).execute('c', count(1)))
    const app = createApp({ store: quicker, aggregates: { first }, runtime: standingStill().runtime })
    expect(await app.aggregates.first.execute('c', { type: 'CountIfFirst' })).toMatchObject({ ok: false, reason: 'not-first' })
    expect(decidedOn).toEqual([0, 1])
    expect((await appOn(store).load('c')).state).toEqual({ total: 1 })
  })
})

test('a command that lost a race is sent again under another commit id', async () => {
  const store = memoryStore()
  const sent: string[] = []
  const recorded = sendingBy(store, async (commit, really) => {
    sent.push(commit.id)
    return really(commit)
  })
  const quicker = overtaken(recorded, () => appOn(store).execute('c', count(1)))
  expect(await appOn(quicker).execute('c', count(2))).toMatchObject({ ok: true, sequence: 2, events: [{ commitId: sent[1] }] })
  expect(new Set(sent).size).toBe(2)
})

describe('a stale cached state', () => {
  test('a stale cached state never decides a rejection', async () => {
    const store = memoryStore()
    const [here, there] = [appOn(store), appOn(store)]
    await here.execute('c', count(1))
    await there.execute('c', count(9))
    expect(await here.execute('c', count(-5))).toMatchObject({ ok: true, state: { total: 5 } })
    await there.execute('c', count(-5))
    expect(await here.execute('c', count(-1))).toEqual({ ok: false, reason: 'too-little', details: { total: 0 } })
  })

  test('a stale cached state never decides "nothing to do" or an exception', async () => {
    const door = defineAggregate({
      type: 'door',
      events: { Opened: noData, Shut: noData },
      commands: { Open: noData, Shut: noData, Kick: noData },
      initialState: () => ({ open: false }),
    }).implement({
      handle: {
        Open: ({ open }) => (open ? undefined : { type: 'Opened' }),
        Shut: ({ open }) => (open ? [{ type: 'Shut' }] : []),
        Kick: ({ open }) => {
          if (open) throw new Error('there is no resistance')
          return { type: 'Opened' }
        },
      },
      apply: { Opened: () => ({ open: true }), Shut: () => ({ open: false }) },
    })
    const store = memoryStore()
    const [here, there] = [0, 1].map(() => createApp({ store, aggregates: { door } }).aggregates.door)
    if (!here || !there) throw new Error('no apps')
    await here.execute('d', { type: 'Open' })
    await there.execute('d', { type: 'Shut' })
    expect(await here.execute('d', { type: 'Open' })).toMatchObject({ sequence: 3, state: { open: true } })
    await there.execute('d', { type: 'Shut' })
    expect(await here.execute('d', { type: 'Kick' })).toMatchObject({ sequence: 5 })
    expect((await failureOf(there.execute('d', { type: 'Kick' }))).message).toBe('there is no resistance')
  })

  test('a stale cached state costs one extra decision when the command is accepted', async () => {
    const store = memoryStore()
    const attempts: number[] = []
    const observe = (what: Observation) => {
      if (what.kind === 'command') attempts.push(what.attempts)
    }
    const here = createApp({ store, aggregates: { counter }, observe, cache: {} }).aggregates.counter
    await here.execute('c', count(1))
    await appOn(store).execute('c', count(9))
    expect(await here.execute('c', count(1))).toMatchObject({ ok: true, sequence: 3, state: { total: 11 } })
    await here.execute('c', count(1))
    expect(attempts).toEqual([1, 2, 1])
  })
})

describe('retries after a lost race', () => {
  /** A store on which somebody else is quicker at each of the first `times` appends. */
  const lostRaces = (times: number) => {
    const store = memoryStore()
    const other = appOn(store)
    const contested = sendingBy(store, async (commit, really, nth) => {
      if (nth <= times) await other.execute('c', count(1))
      return really(commit)
    })
    return { store, contested }
  }

  test('a command succeeds after three lost races', async () => {
    const { contested } = lostRaces(3)
    expect(await appOn(contested).execute('c', count(10))).toMatchObject({ ok: true, sequence: 4, state: { total: 13 } })
  })

  test('a fourth lost race is a ConflictError that says what happened', async () => {
    const { store, contested } = lostRaces(4)
    const error = await failureOf(appOn(contested).execute('c', count(10)))
    expect(error).toBeInstanceOf(ConflictError)
    expect(error).toMatchObject({ code: 'CONFLICT', aggregateType: 'counter', aggregateId: 'c', attempts: 4 })
    expect(error).toMatchObject({ expectedSequence: 3, actualSequence: 4 })
    expect(error.message).toContain("Count on counter 'c'")
    expect((await appOn(store).load('c')).state).toEqual({ total: 4 })
  })

  test('the first lost race is a ConflictError with maxAttempts: 1', async () => {
    const { contested } = lostRaces(1)
    const error = await failureOf(appOn(contested, 1).execute('c', count(10)))
    expect(error).toMatchObject({ code: 'CONFLICT', attempts: 1, expectedSequence: 0, actualSequence: 1 })
  })

  test('a stale cached state does not count as a lost race', async () => {
    const store = memoryStore()
    const { runtime, slept } = standingStill()
    const mine = createApp({ store, aggregates: { counter }, maxAttempts: 1, runtime }).aggregates.counter
    await mine.execute('c', count(1))
    await appOn(store).execute('c', count(10))
    expect(await mine.execute('c', count(100))).toMatchObject({ ok: true, sequence: 3, state: { total: 111 } })
    expect(slept).toEqual([])
  })

  test('the next command on an aggregate succeeds after a conflict', async () => {
    const { contested } = lostRaces(1)
    const c = appOn(contested, 1)
    await failureOf(c.execute('c', count(10)))
    expect(await c.execute('c', count(10))).toMatchObject({ ok: true, sequence: 2 })
  })

  test('a command waits by the runtime before each retry, longer each time', async () => {
    const { contested } = lostRaces(3)
    const { runtime, slept } = standingStill()
    await createApp({ store: contested, aggregates: { counter }, runtime }).aggregates.counter.execute('c', count(1))
    expect(slept).toHaveLength(3)
    expect(slept.every((ms, i) => i === 0 || ms > (slept[i - 1] ?? 0))).toBe(true)
  })
})

describe('commands on one aggregate in one process', () => {
  test('commands on one aggregate wait for each other and never conflict', async () => {
    const c = appOn(memoryStore(), 1)
    const results = await Promise.all(Array.from({ length: 200 }, () => c.execute('c', count(1))))
    expect(results.map((result) => result.ok && result.sequence)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1))
    expect((await c.load('c')).state).toEqual({ total: 200 })
  })

  test('asynchronous handlers of one aggregate run one at a time', async () => {
    let running = 0
    let most = 0
    const job = defineAggregate({
      type: 'job',
      events: { Done: noData },
      commands: { Do: noData },
      initialState: () => ({ done: 0 }),
    }).implement({
      handle: {
        Do: async () => {
          most = Math.max(most, ++running)
          await settled()
          running--
          return { type: 'Done' }
        },
      },
      apply: { Done: ({ done }) => ({ done: done + 1 }) },
    })
    const { job: j } = createApp({ store: memoryStore(), aggregates: { job }, maxAttempts: 1 }).aggregates
    const results = await Promise.all(Array.from({ length: 5 }, () => j.execute('j', { type: 'Do' })))
    expect(results.map((result) => result.ok && result.sequence)).toEqual([1, 2, 3, 4, 5])
    expect(most).toBe(1)
  })

  test('commands on one aggregate do not delay those on another', async () => {
    const { pass, open, reached } = gate()
    const slow = sendingBy(memoryStore(), async (commit, really) => {
      if (commit.appends[0]?.aggregateId === 'slow') await pass()
      return really(commit)
    })
    const c = appOn(slow)
    const waiting = c.execute('slow', count(1))
    await reached
    expect(await c.execute('quick', count(1))).toMatchObject({ ok: true })
    open()
    expect(await waiting).toMatchObject({ ok: true })
  })

  test('a command is handled after the one before it has failed', async () => {
    const flaky = sendingBy(memoryStore(), async (commit, really, nth) =>
      nth === 1 ? { kind: 'failed', certain: true, cause: new Error('disk full') } : really(commit),
    )
    const c = appOn(flaky, 1)
    const [first, second] = await Promise.allSettled([c.execute('c', count(1)), c.execute('c', count(2))])
    expect(first.status).toBe('rejected')
    expect(second).toMatchObject({ status: 'fulfilled', value: { sequence: 1, state: { total: 2 } } })
  })

  test('commands keep their order when a queued one is aborted', async () => {
    const { pass, open, reached } = gate()
    const store = memoryStore()
    const c = appOn(
      sendingBy(store, async (commit, really, nth) => {
        if (nth === 1) await pass()
        return really(commit)
      }),
      1,
    )
    const running = c.execute('c', count(1))
    await reached
    const { signal, abort } = abortable()
    const impatient = failureOf(c.execute('c', count(10), { signal }))
    abort('too slow')
    expect(await impatient).toBe('too slow')
    const next = c.execute('c', count(100))
    await settled()
    open()
    expect(await running).toMatchObject({ ok: true, sequence: 1 })
    expect(await next).toMatchObject({ ok: true, sequence: 2, state: { total: 101 } })
  })
})

test('the data of a command is frozen, so each attempt decides on the same data', async () => {
  const cart = defineAggregate({
    type: 'cart',
    events: { Filled: typed<{ items: readonly string[] }>() },
    commands: { Fill: typed<{ items: string[] }>(), FillChecked: z.object({ items: z.array(z.string()) }) },
    initialState: (): { items: readonly string[] } => ({ items: [] }),
  }).implement({
    handle: {
      Fill: (_, { items }) => ({ type: 'Filled', data: { items: items.splice(0) } }),
      FillChecked: (_, { items }) => ({ type: 'Filled', data: { items: items.splice(0) } }),
    },
    apply: { Filled: (_, { items }) => ({ items }) },
  })
  const app = createApp({ store: memoryStore(), aggregates: { cart } })
  const data = { items: ['apple'] }
  expect(await failureOf(app.aggregates.cart.execute('c', { type: 'Fill', data }))).toBeInstanceOf(TypeError)
  expect(await failureOf(app.aggregates.cart.execute('c', { type: 'FillChecked', data }))).toBeInstanceOf(TypeError)
  expect(Object.isFrozen(data.items)).toBe(false)
})

test('a command that no caller waits for still completes', async () => {
  const store = memoryStore()
  const app = createApp({ store, aggregates: { counter } })
  for (const id of ['a', 'b', 'c']) void app.aggregates.counter.execute(id, count(1))
  await app.close()
  expect(await store.lastPosition()).toBe('3')
})

test('a query may execute commands, also on the same aggregate', async () => {
  const app = createApp({
    store: memoryStore(),
    aggregates: { counter },
    queries: [
      async ([event]) => {
        if (event && event.sequence < 5) await app.aggregates.counter.execute('c', count(1))
      },
    ],
  })
  const c: { execute: typeof app.aggregates.counter.execute } = app.aggregates.counter
  await Promise.all([c.execute('c', count(1)), c.execute('c', count(1))])
  const events = await collect(app.aggregates.counter.events('c'))
  expect(events.length).toBeGreaterThanOrEqual(5)
  expect(events.map((e) => e.sequence)).toEqual(events.map((_, i) => i + 1))
})

function abortable() {
  const controller = new AbortController()
  return { signal: controller.signal, abort: (reason: string) => controller.abort(reason) }
}
