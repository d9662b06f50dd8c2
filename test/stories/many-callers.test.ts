import { type AppOptions, createApp, defineAggregate, noData, type Observation, type Store, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { collect, failureOf, gate, settled } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { standingStill } from '../support/runtime.ts'
import { changed } from '../support/stores.ts'

const range = (n: number) => Array.from({ length: n }, (_, i) => i)

/** `Wait` is decided once the gate opens, `Add` at once. */
const jobWith = (pass: () => Promise<void>, decided: string[] = []) =>
  defineAggregate({
    type: 'job',
    events: { Added: typed<{ n: number }>() },
    commands: { Add: z.object({ n: z.number().positive() }), Wait: noData, Fail: noData },
    initialState: () => ({ sum: 0 }),
  }).implement({
    handle: {
      Add: (_, { n }, { aggregateId }) => {
        decided.push(aggregateId)
        return { type: 'Added', data: { n } }
      },
      Wait: async () => {
        await pass()
        return { type: 'Added', data: { n: 1000 } }
      },
      Fail: () => {
        throw new Error('this handler throws')
      },
    },
    apply: { Added: ({ sum }, { n }) => ({ sum: sum + n }) },
  })

const add = (n: number) => ({ type: 'Add', data: { n } }) as const

describe('one of 512 callers that gets no answer', () => {
  test('a handler that never returns delays only the commands on its aggregate', async () => {
    const { pass, open } = gate()
    const { job } = createApp({ store: memoryStore(), aggregates: { job: jobWith(pass) } }).aggregates
    const stuck = job.execute('stuck', { type: 'Wait' })
    const behind = job.execute('stuck', add(1))
    for (const round of [1, 2]) {
      const results = await Promise.all(range(511).map((i) => job.execute(`job-${i}`, add(1))))
      expect(results.map((result) => result.ok && result.state)).toEqual(range(511).map(() => ({ sum: round })))
    }
    open()
    expect(await stuck).toMatchObject({ ok: true, sequence: 1 })
    expect(await behind).toMatchObject({ ok: true, sequence: 2, state: { sum: 1001 } })
  })

  test('an append that never ends delays only the commands of its batch and of its aggregates', async () => {
    const { pass, open, reached } = gate()
    const store = memoryStore()
    let sent = 0
    const append: Store['append'] = async (commits) => {
      if (commits.some(({ appends }) => appends[0]?.aggregateId === 'stuck')) {
        sent++
        await pass()
      }
      return store.append(commits)
    }
    const { job } = createApp({ store: changed(store, { append }), aggregates: { job: jobWith(pass) } }).aggregates
    const stuck = job.execute('stuck', add(1))
    await reached
    const behind = job.execute('stuck', add(2))
    for (const round of [1, 2]) {
      const results = await Promise.all(range(511).map((i) => job.execute(`job-${i}`, add(1))))
      expect(results.every((result) => result.ok && result.sequence === round)).toBe(true)
    }
    expect(sent).toBe(1)
    open()
    expect(await stuck).toMatchObject({ ok: true, sequence: 1 })
    expect(await behind).toMatchObject({ ok: true, sequence: 2, state: { sum: 3 } })
  })

  test('a queued caller that aborts leaves the queue, and the others keep their order', async () => {
    const { pass, open } = gate()
    const { job } = createApp({ store: memoryStore(), aggregates: { job: jobWith(pass) } }).aggregates
    const aborter = new AbortController()
    const stuck = job.execute('stuck', { type: 'Wait' })
    const results = range(511).map((i) => job.execute('stuck', add(i + 1), i % 2 === 0 ? { signal: aborter.signal } : {}))
    await settled()
    aborter.abort('gone')
    const left = await Promise.allSettled(results.filter((_, i) => i % 2 === 0))
    expect(left.every((result) => result.status === 'rejected' && result.reason === 'gone')).toBe(true)
    open()
    expect(await stuck).toMatchObject({ sequence: 1 })
    const stayed = await Promise.all(results.filter((_, i) => i % 2 === 1))
    expect(stayed.map((result) => result.ok && result.sequence)).toEqual(range(255).map((i) => i + 2))
  })
})

describe('a cache of two aggregates', () => {
  test.each([1, 64])('512 callers with two commands each on %i aggregates lose no event and no race', async (aggregates) => {
    const memory = memoryStore()
    const append: Store['append'] = async (commits) => {
      await settled()
      return memory.append(commits)
    }
    const store = changed(memory, { append })
    const seen: Observation[] = []
    const observe = (what: Observation) => seen.push(what)
    const options: AppOptions<{ counter: typeof counter }, Record<never, never>> = { store, aggregates: { counter }, observe }
    const app = createApp({ ...options, cache: { maxAggregates: 2 }, runtime: standingStill().runtime })
    const c = app.aggregates.counter
    const idOf = (i: number) => `c${i % aggregates}`
    const caller = async (i: number) => {
      // Those with an odd number start while the others are answered.
      if (i % 2 === 1) await settled()
      await c.execute(idOf(i), count(1))
      await c.execute(idOf(i + 1), count(1))
    }
    await Promise.all(range(512).map(caller))
    expect(seen.filter(({ kind }) => kind === 'retry')).toEqual([])
    for (const i of range(aggregates)) {
      const events = 1024 / aggregates
      expect(await collect(c.events(idOf(i)))).toHaveLength(events)
      expect(await c.load(idOf(i))).toEqual({ state: { total: events }, sequence: events })
    }
  })
})

describe('a command on a cached state', () => {
  test.each<[string, unknown, string]>([
    ['a throwing handler', { type: 'Fail' }, 'this handler throws'],
    ['data that does not fit', add(-1), 'is invalid'],
    ['an unknown command', { type: 'Fly' }, "has no command 'Fly'"],
    ['a command without a type', {}, 'must be an object { type, data }'],
  ])('execute() rejects, and never throws, for %s', async (_, command, message) => {
    const { job } = createApp({ store: memoryStore(), aggregates: { job: jobWith(settled) } }).aggregates
    await job.execute('a', add(1))
    const failing = job.execute('a', command as { type: 'Fail' })
    expect(failing).toBeInstanceOf(Promise)
    expect((await failureOf(failing)).message).toContain(message)
    expect(await job.execute('a', add(1))).toMatchObject({ sequence: 2 })
  })

  test('execute() rejects, and never throws, after close()', async () => {
    const app = createApp({ store: memoryStore(), aggregates: { job: jobWith(settled) } })
    await app.aggregates.job.execute('a', add(1))
    await app.close()
    expect(await failureOf(app.aggregates.job.execute('a', add(1)))).toMatchObject({ code: 'CLOSED' })
  })

  test('the handler of a caller that aborts right after its call is not called', async () => {
    const decided: string[] = []
    const { job } = createApp({ store: memoryStore(), aggregates: { job: jobWith(settled, decided) } }).aggregates
    await job.execute('a', add(1))
    const aborter = new AbortController()
    const aborted = job.execute('a', add(2), { signal: aborter.signal })
    aborter.abort('at once')
    expect(await failureOf(aborted)).toBe('at once')
    expect(decided).toEqual(['a'])
    expect(await job.load('a')).toEqual({ state: { sum: 1 }, sequence: 1 })
  })
})
