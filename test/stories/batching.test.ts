import { type AppOptions, createApp, defineAggregate, noData, type Observation, reject, type Store, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import type { Commit, CommitOutcome } from 'cqrs-es/store'
import { describe, expect, test } from 'vitest'
import { failureOf, gate, settled } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { standingStill } from '../support/runtime.ts'
import { changed } from '../support/stores.ts'

type Batching = AppOptions<Record<string, never>, Record<string, never>>['batching']

/** A store that notes the batches it gets, by aggregate id, and answers each when it is told to. */
function slow(store: Store = memoryStore()) {
  const batches: string[][] = []
  const gates: ReturnType<typeof gate>[] = []
  const idOf = ({ appends: [first] }: Commit) => first?.aggregateId ?? ''
  const append = async (commits: readonly Commit[]): Promise<readonly CommitOutcome[]> => {
    batches.push(commits.map(idOf))
    const one = gate()
    gates.push(one)
    await one.pass()
    return store.append(commits)
  }
  return {
    store: changed(store, { append }),
    batches,
    /** Lets the nth append through, and all work that follows from it be done. */
    async answer(nth: number) {
      gates[nth]?.open()
      await settled()
    },
  }
}

const appOn = (store: Store, batching: Batching = {}, observe?: (what: Observation) => void) =>
  createApp({
    store,
    aggregates: { counter },
    batching,
    cache: {},
    runtime: standingStill().runtime,
    ...(observe && { observe }),
  }).aggregates.counter

const range = (n: number) => Array.from({ length: n }, (_, i) => i)

describe('concurrent commands', () => {
  test('commands sent in the same tick share one append', async () => {
    const { store, batches, answer } = slow()
    const c = appOn(store)
    const results = range(5).map((i) => c.execute(`c${i}`, count(1)))
    await settled()
    expect(batches).toEqual([['c0', 'c1', 'c2', 'c3', 'c4']])
    await answer(0)
    expect((await Promise.all(results)).every(({ ok }) => ok)).toBe(true)
  })

  test('commands that become ready while appends are in flight form the next batch, in order', async () => {
    const { store, batches, answer } = slow()
    const c = appOn(store)
    const results = [c.execute('a', count(1))]
    await settled()
    results.push(c.execute('b', count(1)))
    await settled()
    for (const id of ['c', 'd', 'e']) {
      results.push(c.execute(id, count(1)))
      await settled()
    }
    expect(batches).toEqual([['a'], ['b']])
    await answer(1)
    expect(batches).toEqual([['a'], ['b'], ['c', 'd', 'e']])
    await answer(0)
    await answer(2)
    await Promise.all(results)
  })

  test('a single command is sent at once', async () => {
    const { store, batches } = slow()
    void appOn(store).execute('a', count(1))
    await settled()
    expect(batches).toEqual([['a']])
  })

  test('a batch is limited by maxCommits and by maxBytes', async () => {
    const many = slow()
    const c = appOn(many.store, { maxCommits: 3 })
    const results = range(7).map((i) => c.execute(`c${i}`, count(1)))
    await settled()
    expect(many.batches.map((batch) => batch.length)).toEqual([3, 3])
    for (const nth of [0, 1, 2]) await many.answer(nth)
    await Promise.all(results)
    expect(many.batches.map((batch) => batch.length)).toEqual([3, 3, 1])

    const large = slow()
    const notes = appOfNotes(large.store, { maxBytes: 10_000 })
    const written = range(5).map((i) => notes.execute(`n${i}`, { type: 'Write', data: { text: 'x'.repeat(4_000) } }))
    await settled()
    expect(large.batches.map((batch) => batch.length)).toEqual([2, 2])
    for (const nth of [0, 1, 2]) await large.answer(nth)
    await Promise.all(written)
  })

  test('each command is an append of its own with batching: false', async () => {
    const { store, batches, answer } = slow()
    const c = appOn(store, false)
    const results = range(5).map((i) => c.execute(`c${i}`, count(1)))
    await settled()
    expect(batches).toEqual([['c0'], ['c1'], ['c2'], ['c3'], ['c4']])
    for (const nth of range(5)) await answer(nth)
    await Promise.all(results)
  })

  test('a failing command does not fail the others of its batch', async () => {
    const store = memoryStore()
    await appOn(store).execute('taken', count(1))
    const kept = changed(store, {
      append: (commits) =>
        store.append(commits.map((commit) => (commit.appends[0]?.aggregateId === 'bad' ? { ...commit, views: [bad] } : commit))),
    })
    const here = appOn(kept)
    await here.load('taken')
    await appOn(store).execute('taken', count(1))
    const ids = ['a', 'taken', 'bad', 'b']
    const results = await Promise.allSettled(ids.map((id) => here.execute(id, count(1))))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
    expect((await appOn(store).load('taken')).state).toEqual({ total: 3 })
  })

  test('an append observation reports the size of its batch', async () => {
    const seen: Observation[] = []
    const c = appOn(memoryStore(), {}, (what) => seen.push(what))
    await Promise.all(range(4).map((i) => c.execute(`c${i}`, count(1))))
    expect(seen.flatMap((what) => (what.kind === 'append' ? [what.batch] : []))).toEqual([4, 4, 4, 4])
  })
})

/** JSON refuses it. */
const bad = { name: 'v', generation: 1, id: 'v', expectedVersion: 0, view: 1n }

const note = defineAggregate({
  type: 'note',
  events: { Written: typed<{ text: string }>() },
  commands: { Write: typed<{ text: string }>() },
  initialState: () => ({ length: 0 }),
}).implement({
  handle: { Write: (_, data) => ({ type: 'Written', data }) },
  apply: { Written: (_, { text }) => ({ length: text.length }) },
})
const appOfNotes = (store: Store, batching: NonNullable<Batching>) =>
  createApp({ store, aggregates: { note }, batching }).aggregates.note

describe('many commands on one aggregate', () => {
  test('commands on one aggregate are handled without waiting for the store and share an append', async () => {
    const { store, batches, answer } = slow()
    const c = appOn(store)
    await answerAll(c.execute('hot', count(1)), answer)
    const results = range(512).map(() => c.execute('hot', count(1)))
    await settled()
    expect(batches.slice(1).map((batch) => batch.length)).toEqual([256])
    await answer(1)
    await answer(2)
    const totals = (await Promise.all(results)).map((result) => result.ok && result.state.total)
    expect(totals).toEqual(range(512).map((i) => i + 2))
  })

  test('concurrent commands on one aggregate all succeed without a retry', async () => {
    const seen: Observation[] = []
    const c = appOn(memoryStore(), {}, (what) => seen.push(what))
    await Promise.all(range(512).map(() => c.execute('hot', count(1))))
    expect(await c.load('hot')).toEqual({ state: { total: 512 }, sequence: 512 })
    expect(seen.filter(({ kind }) => kind === 'retry')).toEqual([])
    expect(seen.flatMap((what) => (what.kind === 'command' ? [what.attempts] : []))).toEqual(Array(512).fill(1))
  })

  test('a rejection based on in-flight events is returned once those events are stored', async () => {
    const { store, answer } = slow()
    const { order } = createApp({ store, aggregates: { order: once } }).aggregates
    let answered = false
    const first = order.execute('o', { type: 'Place' })
    const second = order.execute('o', { type: 'Place' }).then((result) => {
      answered = true
      return result
    })
    await settled()
    expect(answered).toBe(false)
    await answer(0)
    expect([await first, await second]).toMatchObject([{ ok: true }, { ok: false, reason: 'placed-already' }])
  })

  test('a rejection based on events that were not stored is decided again', async () => {
    const store = memoryStore()
    let failing = true
    const failsOnce = changed(store, {
      append: async (commits) => {
        if (!failing) return store.append(commits)
        failing = false
        return commits.map(() => ({ kind: 'failed', certain: true, cause: new Error('disk full') }))
      },
    })
    const { order } = createApp({ store: failsOnce, aggregates: { order: once } }).aggregates
    const [first, second] = await Promise.allSettled([
      order.execute('o', { type: 'Place' }),
      order.execute('o', { type: 'Place' }),
    ])
    expect(first).toMatchObject({ status: 'rejected', reason: { code: 'STORE_FAILED' } })
    expect(second).toMatchObject({ status: 'fulfilled', value: { ok: true, sequence: 1 } })
  })

  test('commands in flight lose nothing when another process wins the race', async () => {
    const store = memoryStore()
    const { store: slowStore, answer } = slow(store)
    const here = appOn(slowStore)
    await answerAll(here.execute('hot', count(1)), answer)
    const results = range(10).map(() => here.execute('hot', count(1)))
    await settled()
    await appOn(store).execute('hot', count(100))
    for (const nth of range(30)) await answer(nth + 1)
    const totals = (await Promise.all(results)).map((result) => (result.ok ? result.state.total : 0))
    expect(totals.sort((a, b) => a - b)).toEqual(range(10).map((i) => i + 102))
    expect((await here.load('hot')).sequence).toBe(12)
  })

  test('concurrent commands with one key are stored once, even if a second one would be rejected', async () => {
    const store = memoryStore()
    let asked = 0
    let answer = () => {}
    const allHaveAsked = new Promise<void>((resolve) => {
      answer = resolve
    })
    const together = changed(store, {
      readKey: async (request) => {
        const found = await store.readKey(request)
        if (++asked === 8) answer()
        await allHaveAsked
        return found
      },
    })
    const { order } = createApp({ store: together, aggregates: { order: once } }).aggregates
    const all = await Promise.all(range(8).map(() => order.execute('o', { type: 'Place' }, { idempotencyKey: 'k' })))
    expect(all.map((result) => result.ok && result.sequence)).toEqual(Array(8).fill(1))
    expect(all.filter((result) => result.ok && !result.replayed)).toHaveLength(1)
  })
})

/** Something that can be done once. */
const once = defineAggregate({
  type: 'order',
  events: { Placed: noData },
  commands: { Place: noData },
  initialState: () => ({ placed: false }),
}).implement({
  handle: { Place: ({ placed }) => (placed ? reject('placed-already') : { type: 'Placed' }) },
  apply: { Placed: () => ({ placed: true }) },
})

async function answerAll(result: Promise<unknown>, answer: (nth: number) => Promise<void>) {
  await settled()
  await answer(0)
  await result
}

describe('a batch with an unknown outcome', () => {
  test('a batch with an unknown outcome is resent in the same order and stores nothing twice', async () => {
    const store = memoryStore()
    const sent: string[][] = []
    const lossy = changed(store, {
      append: async (commits) => {
        sent.push(commits.map(({ id }) => id))
        const outcomes = await store.append(commits)
        return sent.length === 2 ? commits.map(() => ({ kind: 'failed', certain: false, cause: new Error('cut') })) : outcomes
      },
    })
    const c = appOn(lossy)
    await c.execute('hot', count(1))
    const results = await Promise.all(range(5).map(() => c.execute('hot', count(1))))
    expect(results.map((result) => result.ok && result.sequence)).toEqual([2, 3, 4, 5, 6])
    expect(sent[2]).toEqual(sent[1])
    expect((await c.load('hot')).sequence).toBe(6)
  })

  test('a batch with an unknown outcome is resent by aggregate, so one failure fails no other', async () => {
    const store = memoryStore()
    const poisoned = changed(store, {
      append: async (commits) =>
        commits.some(({ appends: [first] }) => first?.aggregateId === 'poison')
          ? commits.map(() => ({ kind: 'failed', certain: false, cause: new Error('the server has gone') }))
          : store.append(commits),
    })
    const c = appOn(poisoned)
    const results = await Promise.allSettled(['a', 'poison', 'b', 'a'].map((id) => c.execute(id, count(1))))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
    expect(results[1]).toMatchObject({ reason: { code: 'OUTCOME_UNKNOWN' } })
    expect([(await c.load('a')).sequence, (await c.load('b')).sequence]).toEqual([2, 1])
  })

  test('an unknown outcome delays only the commands that build on it', async () => {
    const store = memoryStore()
    const batches: string[][] = []
    let cut = true
    const lossy = changed(store, {
      append: async (commits) => {
        batches.push(commits.map(({ appends }) => `${appends[0]?.aggregateId}@${appends[0]?.expectedSequence}`))
        if (cut && batches.length < 4 && batches.at(-1)?.[0]?.startsWith('a'))
          return commits.map(() => ({ kind: 'failed', certain: false, cause: new Error('cut') }))
        return store.append(commits)
      },
    })
    const c = appOn(lossy)
    const first = c.execute('a', count(1))
    await settled()
    const later = [c.execute('a', count(1)), c.execute('b', count(1))]
    await Promise.all([first, ...later])
    cut = false
    const withA = batches.filter((batch) => batch.some((one) => one.startsWith('a')))
    expect(withA.at(-1)).toContain('a@1')
    expect(withA.slice(0, -1).every((batch) => batch.includes('a@0'))).toBe(true)
    expect((await c.load('a')).sequence).toBe(2)
  })
})

describe('too many commands', () => {
  test('a command beyond maxQueued is refused with OVERLOADED, and the queued ones succeed', async () => {
    const { store, answer } = slow()
    const c = appOn(store, { maxQueued: 3 })
    const inside = range(3).map((i) => c.execute(`c${i}`, count(1)))
    const refused = failureOf(c.execute('c4', count(1)))
    await settled()
    await answer(0)
    expect(await refused).toMatchObject({
      code: 'OVERLOADED',
      message: expect.stringContaining('3 commands of this app are in progress'),
    })
    await Promise.all(inside)
    const next = c.execute('c4', count(1))
    await settled()
    await answer(1)
    expect(await next).toMatchObject({ ok: true, sequence: 1 })
  })

  test.each([
    [{ maxCommits: 0 }, 'maxCommits'],
    [{ maxBytes: 1.5 }, 'maxBytes'],
    [{ maxQueued: -1 }, 'maxQueued'],
    [{ maxCommit: 5 }, 'maxCommit'],
  ])('createApp refuses the batching options %j', (batching, name) => {
    expect(() => appOn(memoryStore(), batching as Batching)).toThrow(name)
  })
})

test('close() waits for every command in flight', async () => {
  const { store, answer } = slow()
  const app = createApp({ store, aggregates: { counter } })
  const results = range(20).map((i) => app.aggregates.counter.execute(i % 2 ? 'hot' : `c${i}`, count(1)))
  await settled()
  let closed = false
  const closing = app.close().then(() => {
    closed = true
  })
  await settled()
  expect(closed).toBe(false)
  for (const nth of range(24)) await answer(nth)
  await closing
  expect((await Promise.all(results)).every(({ ok }) => ok)).toBe(true)
})
