import { type } from 'arktype'
import { createApp, defineAggregate, type SnapshotPolicy, type StandardSchema, type Store, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { given } from 'cqrs-es/testing'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { collect, failureOf, thrownBy } from '../support/async.ts'
import { changed, sendingBy } from '../support/stores.ts'

/** Adds up, so that an event applied twice or not at all shows. */
const adding = (snapshots: SnapshotPolicy, stateVersion: number | string = 1, step = 1) =>
  defineAggregate({
    type: 'sum',
    events: { Added: typed<{ n: number }>() },
    commands: { Add: typed<{ n: readonly number[] }>() },
    initialState: () => ({ sum: 0 }),
    snapshots,
    stateVersion,
  }).implement({
    handle: { Add: (_, { n }) => n.map((each) => ({ type: 'Added' as const, data: { n: each } })) },
    apply: { Added: ({ sum }, { n }) => ({ sum: sum + n * step }) },
  })

const appOn = (store: Store, snapshots: SnapshotPolicy, stateVersion?: number | string, step?: number) =>
  createApp({ store, aggregates: { sum: adding(snapshots, stateVersion, step) }, cache: false }).aggregates.sum
const add = (...n: number[]) => ({ type: 'Add', data: { n } }) as const
const ones = (count: number) => add(...Array(count).fill(1))

/** The snapshot of one state version, as the store has it. */
const snapshotIn = async (store: Store, stateVersion = '1') =>
  (await store.readAggregate({ aggregateType: 'sum', aggregateId: 's', after: 0, snapshot: { stateVersion } })).snapshot

/** How many events each `load` read, and what it started from. */
function watched(store: Store, snapshots: SnapshotPolicy) {
  const loads: unknown[] = []
  const { sum } = createApp({
    store,
    aggregates: { sum: adding(snapshots) },
    cache: false,
    observe: (what) => what.kind === 'load' && loads.push([what.from, what.events]),
  }).aggregates
  return { sum, loads }
}

describe('without snapshots', () => {
  test('an app without snapshots writes none and reads all events', async () => {
    const store = memoryStore()
    const { sum, loads } = watched(store, 'never')
    await sum.execute('s', ones(30))
    expect(await sum.load('s')).toEqual({ state: { sum: 30 }, sequence: 30 })
    expect(loads.at(-1)).toEqual(['start', 30])
    expect(await snapshotIn(store)).toBeUndefined()
  })

  test('an app without snapshots ignores those of an earlier policy', async () => {
    const store = memoryStore()
    await appOn(store, 'always').execute('s', ones(3))
    const { sum, loads } = watched(store, 'never')
    expect((await sum.load('s')).state).toEqual({ sum: 3 })
    expect(loads).toEqual([['start', 3]])
  })
})

describe('snapshots at each commit', () => {
  test('a snapshot at each commit has the state at its sequence, and its version counts the saves', async () => {
    const store = memoryStore()
    const sum = appOn(store, 'always')
    for (const [i, size] of [1, 3, 2].entries()) {
      await sum.execute('s', ones(size))
      const sequence = [1, 4, 6][i] as number
      expect(await snapshotIn(store)).toEqual({
        sequence,
        commitId: expect.any(String),
        stateVersion: '1',
        version: i + 1,
        state: { sum: sequence },
      })
    }
    expect(await collect(sum.events('s'))).toHaveLength(6)
  })

  test('a load with a snapshot at each commit reads no event', async () => {
    const store = memoryStore()
    const { sum, loads } = watched(store, 'always')
    await sum.execute('s', ones(5))
    expect(await sum.load('s')).toEqual({ state: { sum: 5 }, sequence: 5 })
    expect(loads.at(-1)).toEqual(['snapshot', 0])
  })

  test('a load of a new aggregate finds no snapshot and starts from the beginning', async () => {
    const { sum, loads } = watched(memoryStore(), 'always')
    expect(await sum.load('s')).toEqual({ state: { sum: 0 }, sequence: 0 })
    expect(loads).toEqual([['start', 0]])
  })
})

describe('snapshots every three events', () => {
  /** Commit sizes, and the sequence of the snapshot that stands after each. */
  test.each([
    { commits: [1, 1], at: [undefined, undefined] },
    { commits: [2, 1], at: [undefined, 3] },
    { commits: [2, 2], at: [undefined, 4] },
    { commits: [3], at: [3] },
    { commits: [5], at: [5] },
    { commits: [1, 1, 3, 1, 1], at: [undefined, undefined, 5, 6, 6] },
    { commits: [10, 1, 1], at: [10, 10, 12] },
    { commits: [2, 100], at: [undefined, 102] },
  ])('commits of $commits events leave snapshots at $at', async ({ commits, at }) => {
    const store = memoryStore()
    const sum = appOn(store, { every: 3 })
    let saved = 0
    let total = 0
    for (const [i, size] of commits.entries()) {
      await sum.execute('s', ones(size))
      total += size
      const sequence = at[i]
      if (sequence !== undefined && sequence !== at[i - 1]) saved++
      const snapshot = await snapshotIn(store)
      expect(snapshot?.sequence).toBe(sequence)
      if (snapshot)
        expect(snapshot).toEqual({
          sequence,
          commitId: expect.any(String),
          stateVersion: '1',
          version: saved,
          state: { sum: sequence },
        })
      expect(await sum.load('s')).toEqual({ state: { sum: total }, sequence: total })
    }
  })

  test('a load reads the snapshot and the events after it', async () => {
    const store = memoryStore()
    const { sum, loads } = watched(store, { every: 3 })
    for (const command of [ones(4), ones(1)]) await sum.execute('s', command)
    expect(await sum.load('s')).toEqual({ state: { sum: 5 }, sequence: 5 })
    expect(loads.at(-1)).toEqual(['snapshot', 1])
    expect(await collect(sum.events('s'))).toHaveLength(5)
    expect(await sum.load('s', { asOf: 2 })).toEqual({ state: { sum: 2 }, sequence: 2 })
  })

  test('one commit writes one snapshot', async () => {
    const snapshots: unknown[] = []
    const store = sendingBy(memoryStore(), (commit, really) => {
      snapshots.push(...commit.appends.map((append) => append.snapshot))
      return really(commit)
    })
    await appOn(store, { every: 3 }).execute('s', ones(50))
    expect(snapshots).toEqual([{ stateVersion: '1', state: { sum: 50 } }])
  })

  test('the cost of a command does not grow with the age of its aggregate', async () => {
    const { sum, loads } = watched(memoryStore(), { every: 10 })
    for (let i = 0; i < 100; i++) await sum.execute('s', ones(1))
    expect(Math.max(...loads.map((load) => (load as [string, number])[1]))).toBeLessThan(10)
  })
})

describe('a snapshot that does not fit this program', () => {
  test('a snapshot of another state version is ignored and replaced by the next one', async () => {
    const store = memoryStore()
    await appOn(store, 'always').execute('s', ones(4))
    const doubling = appOn(store, 'always', 2, 2)
    expect(await doubling.load('s')).toEqual({ state: { sum: 8 }, sequence: 4 })
    expect(await doubling.execute('s', ones(1))).toMatchObject({ ok: true, sequence: 5, state: { sum: 10 } })
    expect(await snapshotIn(store, '2')).toMatchObject({ sequence: 5, state: { sum: 10 } })
    expect(await snapshotIn(store, '1')).toBeUndefined()
  })

  test('two programs with different state versions read correct states side by side', async () => {
    const store = memoryStore()
    const programs = [appOn(store, 'always', 'old', 1), appOn(store, 'always', 'new', 2)]
    for (const program of [...programs, ...programs]) await program.execute('s', ones(3))
    const states = await Promise.all(programs.map((program) => program.load('s')))
    expect(states.map(({ state }) => state.sum)).toEqual([12, 24])
  })

  test('a snapshot of an earlier policy is still used', async () => {
    const store = memoryStore()
    await appOn(store, 'always').execute('s', ones(4))
    const sum = appOn(store, { every: 5 })
    expect(await sum.execute('s', ones(2))).toMatchObject({ sequence: 6, state: { sum: 6 } })
    expect(await snapshotIn(store)).toMatchObject({ sequence: 6, version: 2 })
  })

  test('a failing read of a snapshot fails the command', async () => {
    const failure = new Error('connection reset')
    const store = memoryStore()
    const broken = changed(store, {
      readAggregate: (request) => (request.snapshot ? Promise.reject(failure) : store.readAggregate(request)),
    })
    expect(await failureOf(appOn(broken, 'always').execute('s', ones(1)))).toBe(failure)
    expect(await store.lastPosition()).toBeUndefined()
  })
})

describe('stateSchema', () => {
  /** Adds up in a field of the name `total`, which was `sum` in the program before; `stateVersion` was forgotten. */
  const totalling = (snapshots: SnapshotPolicy, stateSchema: object | undefined) =>
    defineAggregate({
      type: 'sum',
      events: { Added: typed<{ n: number }>() },
      commands: { Add: typed<{ n: readonly number[] }>() },
      initialState: () => ({ total: 0 }),
      snapshots,
      ...(stateSchema === undefined ? {} : { stateSchema: stateSchema as StandardSchema<unknown, { total: number }> }),
    }).implement({
      handle: { Add: (_, { n }) => n.map((each) => ({ type: 'Added' as const, data: { n: each } })) },
      apply: { Added: ({ total }, { n }) => ({ total: total + n }) },
    })
  const loads: unknown[] = []
  const totalOn = (store: Store, stateSchema?: object, cache?: false) =>
    createApp({
      store,
      aggregates: { sum: totalling('always', stateSchema) },
      ...(cache === undefined ? {} : { cache }),
      observe: (what) => what.kind === 'load' && loads.push([what.from, what.events]),
    }).aggregates.sum
  const schemas = {
    zod: z.object({ total: z.number() }),
    valibot: v.object({ total: v.number() }),
    arktype: type({ total: 'number' }),
    'one that throws': {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value: unknown) => {
          if (!Object.hasOwn(value as object, 'total')) throw new TypeError('there is no total')
          return { value }
        },
      },
    },
  }

  test('load() returns a snapshot of another shape without a stateSchema', async () => {
    const store = memoryStore()
    await appOn(store, 'always').execute('s', ones(4))
    expect(await totalOn(store).load('s')).toEqual({ state: { sum: 4 }, sequence: 4 })
  })

  test.each(Object.entries(schemas))(
    'stateSchema of %s ignores an unfit snapshot, and the next commit replaces it',
    async (_, schema) => {
      const store = memoryStore()
      await appOn(store, 'always').execute('s', ones(4))
      for (const cache of [undefined, false] as const) {
        expect(await totalOn(store, schema, cache).load('s')).toEqual({ state: { total: 4 }, sequence: 4 })
        expect(loads.at(-1)).toEqual(['start', 4])
      }
      expect(await totalOn(store, schema).execute('s', ones(1))).toMatchObject({ sequence: 5, state: { total: 5 } })
      expect(await snapshotIn(store)).toMatchObject({ sequence: 5, state: { total: 5 }, version: 2 })
      expect(await totalOn(store, schema).load('s')).toEqual({ state: { total: 5 }, sequence: 5 })
      expect(loads.at(-1)).toEqual(['snapshot', 0])
    },
  )

  test('stateSchema ignores an unfit snapshot on load() with asOf', async () => {
    const store = memoryStore()
    for (const command of [ones(2), ones(3)]) await appOn(store, 'always').execute('s', command)
    for (const asOf of [1, 4, 5])
      expect(await totalOn(store, schemas.zod).load('s', { asOf })).toEqual({ state: { total: asOf }, sequence: asOf })
  })

  test('stateSchema ignores a snapshot that it would change', async () => {
    const store = memoryStore()
    await appOn(store, 'always').execute('s', ones(2))
    expect((await snapshotIn(store))?.state).toEqual({ sum: 2 })
    const stripping = z.object({ total: z.number().default(-1) })
    expect(await totalOn(store, stripping).load('s')).toEqual({ state: { total: 2 }, sequence: 2 })
  })

  test('stateSchema refuses a commit whose snapshot does not fit, and nothing is stored', async () => {
    const store = memoryStore()
    const error = await failureOf(totalOn(store, z.object({ total: z.number().max(3) })).execute('s', ones(4)))
    expect(error).toMatchObject({ code: 'APPLY', aggregateType: 'sum', aggregateId: 's', sequence: 4 })
    expect(error.message).toContain('does not fit stateSchema: total: ')
    expect(await store.lastPosition()).toBeUndefined()
  })

  test('stateSchema fails a test of the kit whose state does not fit', async () => {
    const sum = totalling('never', z.object({ total: z.number().max(3) }))
    const error = await failureOf(given(sum, [{ type: 'Added', data: { n: 4 } }]).thenState({ total: 4 }))
    expect(error.message).toContain('apply.Added of sum made a state that does not fit stateSchema: total: ')
  })

  test.each<[string, unknown, string]>([
    ['no schema', { total: 'number' }, 'stateSchema must be a schema'],
    ['typed<…>()', typed<{ total: number }>(), 'stateSchema must be a schema'],
    [
      'one that the initial state does not fit',
      z.object({ total: z.string() }),
      'initialState() does not fit stateSchema: total: ',
    ],
    [
      'one that changes the initial state',
      z.object({ total: z.number().transform((n) => n + 1) }),
      'initialState() does not fit stateSchema: total: ',
    ],
    ['an asynchronous one', v.objectAsync({ total: v.number() }), 'stateSchema is asynchronous'],
    [
      'one of zod with an asynchronous check',
      z.object({ total: z.number() }).refine(async () => true),
      'its schema is asynchronous',
    ],
  ])('defineAggregate refuses an unfit stateSchema: %s', (_, schema, words) => {
    const error = thrownBy(() => totalling('always', schema as object))
    expect(error.code).toBe('DEFINITION')
    expect(error.message).toContain("Aggregate 'sum': ")
    expect(error.message).toContain(words)
  })
})

test('a state that is not JSON stores neither snapshot nor events', async () => {
  const infinite = defineAggregate({
    type: 'infinite',
    events: { Grown: typed<{ by: number }>() },
    commands: { Grow: typed<{ by: number }>() },
    initialState: () => ({ size: { now: 1 } }),
    snapshots: 'always',
  }).implement({
    handle: { Grow: (_, data) => ({ type: 'Grown', data }) },
    apply: { Grown: ({ size }, { by }) => ({ size: { now: size.now / by } }) },
  })
  const store = memoryStore()
  const error = await failureOf(
    createApp({ store, aggregates: { infinite } }).aggregates.infinite.execute('i', { type: 'Grow', data: { by: 0 } }),
  )
  expect(error).toMatchObject({ code: 'APPLY', aggregateType: 'infinite', aggregateId: 'i', sequence: 1 })
  expect(error.message).toContain('size.now is Infinity')
  expect(await store.lastPosition()).toBeUndefined()
})

test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '3' as unknown as number])(
  'defineAggregate refuses a snapshot every %s events',
  (every) => {
    const error = thrownBy(() => adding({ every }))
    expect(error.code).toBe('DEFINITION')
    expect(error.message).toContain("Aggregate 'sum'")
    expect(error.message).toContain('1 or more')
  },
)

test.each(['sometimes', {}, { evry: 3 }, null, 3])('defineAggregate refuses the snapshot policy %j', (policy) => {
  expect(thrownBy(() => adding(policy as SnapshotPolicy)).code).toBe('DEFINITION')
})
