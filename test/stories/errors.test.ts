import {
  ConflictError,
  createApp,
  defineAggregate,
  isCqrsError,
  noData,
  reject,
  type Store,
  StoreError,
  typed,
  type ValidationError,
} from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test, vi } from 'vitest'
import { failureOf } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { storedBefore } from '../support/stored.ts'
import { changed, overtaken, sendingBy } from '../support/stores.ts'

const appOn = (store = memoryStore()) => createApp({ store, aggregates: { counter } }).aggregates.counter

describe('an invalid call', () => {
  test.each<[string, unknown, unknown, string]>([
    [
      'an unknown command',
      { type: 'Cuont', data: { by: 1 } },
      {},
      "counter has no command 'Cuont'. Its commands: Count, CountEach.",
    ],
    ['a command named like a member of Object', { type: 'toString' }, {}, "no command 'toString'"],
    ['no command', undefined, {}, 'a command must be an object { type, data }'],
    ['a command without a type', { data: {} }, {}, 'a command must be an object { type, data }'],
    ['a field beside type and data', { type: 'Count', by: 1 }, {}, "not 'by'"],
    ['a misspelt option', count(1), { idempotencykey: 'k' }, "no option 'idempotencykey'. Its options: metadata, idempotencyKey"],
    ['options that are no object', count(1), 'k', 'takes an object of options'],
    ['a signal that is no AbortSignal', count(1), { signal: {} }, 'signal must be an AbortSignal'],
    [
      'an expected sequence that is no number',
      count(1),
      { expectedSequence: '6' },
      "expectedSequence must be a whole number, 0 or more, not '6'",
    ],
    ['an expected sequence below 0', count(1), { expectedSequence: -1 }, 'not -1'],
    ['data that is not JSON', { type: 'Count', data: { by: Number.NaN } }, {}, "Count on counter 'c' is invalid: by: NaN"],
  ])('execute() refuses %s and stores nothing', async (_, command, options, words) => {
    const store = memoryStore()
    const error = await failureOf(appOn(store).execute('c', command as never, options as never))
    expect(error).toMatchObject({ code: 'VALIDATION', name: 'ValidationError' })
    expect((error as unknown as ValidationError).issues.length).toBeGreaterThan(0)
    expect(error.message).toContain('counter')
    expect(error.message).toContain(words)
    expect(await store.lastPosition()).toBeUndefined()
  })

  test('load(), events() and ids() refuse misspelt options', async () => {
    const c = appOn()
    expect((await failureOf(c.load('c', { asof: 1 } as never))).message).toContain("load of counter has no option 'asof'")
    expect(() => c.events('c', { from: 1 } as never)).toThrow("events of counter has no option 'from'")
    expect((await failureOf(c.ids({ size: 1 } as never))).message).toContain("ids of counter has no option 'size'")
  })
})

/** Runs a handler that returns `decided`, and an apply that does `apply`. */
function deciding(decided: unknown, apply: (state: { list: number[] }) => unknown = (state) => state) {
  const thing = defineAggregate({
    type: 'thing',
    events: { Done: typed<{ n: number }>(), Rested: noData },
    commands: { Do: noData },
    initialState: () => ({ list: [2, 1] }),
  }).implement({
    handle: { Do: () => (typeof decided === 'function' ? decided() : decided) as never },
    apply: { Done: (state) => apply(state) as typeof state, Rested: (state) => state },
  })
  const store = memoryStore()
  const app = createApp({ store, aggregates: { thing } })
  return { store, run: () => failureOf(app.aggregates.thing.execute('t', { type: 'Do' })) }
}
const done = { type: 'Done', data: { n: 1 } }

describe('a handler', () => {
  test.each([new Error('own'), new TypeError('bug'), 'text', null, { code: 'E' }])(
    'a handler that throws %s fails the command with just that, and nothing is stored',
    async (thrown) => {
      for (const decided of [
        () => {
          throw thrown
        },
        () => Promise.reject(thrown),
      ]) {
        const { store, run } = deciding(decided)
        expect(await run()).toBe(thrown)
        expect(await store.lastPosition()).toBeUndefined()
      }
    },
  )

  test.each<[string, unknown, string]>([
    ['an unknown event', { type: 'Dnoe', data: {} }, "unknown type 'Dnoe'. Its events: Done, Rested."],
    ['an event named like a member of Object', { type: 'constructor', data: {} }, "unknown type 'constructor'"],
    ['null', null, 'null. Expected an event'],
    ['a text', 'Done', "'Done'. Expected an event"],
    ['true', true, 'true. Expected an event'],
    ['an object without type', { data: {} }, 'an object without a type'],
    ['a list of lists', [[done]], 'an object without a type'],
    ['a rejection inside a list', [done, reject('no')], 'a rejection inside a list'],
    ['nothing inside a list', [done, undefined], 'undefined. Expected an event'],
    [
      'something beside the data',
      { ...done, metadata: {} },
      "Done with the extra property 'metadata'. An event has only type and data",
    ],
    ['no data', { type: 'Done' }, 'Done with data that cannot be stored'],
  ])('a handler that returns %s fails with an InvalidEventError, and nothing is stored', async (_, decided, words) => {
    const { store, run } = deciding(decided)
    const error = await run()
    expect(error).toMatchObject({ code: 'INVALID_EVENT', name: 'InvalidEventError' })
    expect(error.message).toContain("Do on thing 't' returned")
    expect(error.message).toContain(words)
    expect(await store.lastPosition()).toBeUndefined()
  })
})

describe('an apply', () => {
  const cause = new Error('no idea')
  test.each<[string, (state: { list: number[] }) => unknown, string]>([
    [
      'throws',
      () => {
        throw cause
      },
      'it threw: no idea',
    ],
    ['returns nothing', () => undefined, 'it returned nothing; it must return the next state'],
    ['returns a promise', async (state) => state, 'it returned a promise'],
    [
      'pushes into the state',
      (state) => ({ n: state.list.push(1) }),
      'it must return a new state, not change the one it receives',
    ],
    [
      'sets a field of the state',
      (state) => {
        state.list = []
        return state
      },
      'it must return a new state',
    ],
    [
      'deletes from the state',
      (state) => {
        delete (state as Partial<typeof state>).list
        return state
      },
      'it must return a new state',
    ],
    ['sorts the state in place', (state) => ({ list: state.list.sort() }), 'it must return a new state'],
  ])('an apply that %s fails with an ApplyError, and nothing is stored', async (_, apply, words) => {
    const { store, run } = deciding([{ type: 'Rested' }, done], apply)
    const error = await run()
    expect(error).toMatchObject({ code: 'APPLY', name: 'ApplyError', aggregateType: 'thing', aggregateId: 't', sequence: 2 })
    expect(error.message).toContain("apply.Done of thing 't' failed at event 2")
    expect(error.message).toContain(words)
    expect(await store.lastPosition()).toBeUndefined()
    if (words.includes('no idea')) expect(error.cause).toBe(cause)
  })

  test('an apply that fails on a stored event stops load() and commands, and the error names it', async () => {
    const store = memoryStore()
    await appOn(store).execute('c', count(1))
    const strict = defineAggregate({
      type: 'counter',
      events: { Counted: typed<{ by: number }>() },
      commands: { Count: noData },
      initialState: () => 0,
    }).implement({
      handle: { Count: () => undefined },
      apply: {
        Counted: () => {
          throw cause
        },
      },
    })
    const { counter: c } = createApp({ store, aggregates: { counter: strict } }).aggregates
    for (const asked of [c.load('c'), c.execute('c', { type: 'Count' })]) {
      const error = await failureOf(asked)
      expect(error).toMatchObject({ code: 'APPLY', aggregateType: 'counter', aggregateId: 'c', sequence: 1, cause })
      expect(error.message).toContain("apply.Counted of counter 'c' failed at event 1")
    }
  })

  test('apply may return null', async () => {
    const nothing = defineAggregate({
      type: 'nothing',
      events: { Gone: noData },
      commands: { Go: noData },
      initialState: (): { here: boolean } | null => ({ here: true }),
    }).implement({ handle: { Go: (state) => (state ? { type: 'Gone' } : undefined) }, apply: { Gone: () => null } })
    const { aggregates } = createApp({ store: memoryStore(), aggregates: { nothing } })
    expect(await aggregates.nothing.execute('n', { type: 'Go' })).toMatchObject({ ok: true, state: null })
    expect(await aggregates.nothing.load('n')).toEqual({ state: null, sequence: 1 })
    expect(await aggregates.nothing.execute('n', { type: 'Go' })).toMatchObject({ events: [], sequence: 1 })
  })
})

test('each kind of failure reaches the caller with its own code', async () => {
  const thrown = new Error('own')
  const thing = defineAggregate({
    type: 'thing',
    events: { Done: typed<{ n: number }>() },
    commands: { Do: noData, Refuse: noData, Throw: noData },
    initialState: () => ({}),
  }).implement({
    handle: {
      Do: () => ({ type: 'Done', data: { n: 1 } }),
      Refuse: () => reject('no', { why: 'so' }),
      Throw: () => {
        throw thrown
      },
    },
    apply: { Done: (state) => state },
  })
  const store = memoryStore()
  const on = (own: Store) => createApp({ store: own, aggregates: { thing }, maxAttempts: 1 }).aggregates.thing
  const does = (own: Store, id = 't') => failureOf(on(own).execute(id, { type: 'Do' }))

  // Another writer was first.
  expect(await does(overtaken(store, () => on(store).execute('t', { type: 'Do' })))).toMatchObject({
    code: 'CONFLICT',
    attempts: 1,
  })
  // The database cannot be reached: the error of the store itself.
  const down = new StoreError('STORE_UNAVAILABLE', 'The database does not answer.')
  expect(await does(sendingBy(store, async () => ({ kind: 'failed', certain: true, cause: down })))).toBe(down)
  expect(await does(changed(store, { readAggregate: () => Promise.reject(down) }))).toBe(down)
  // What is stored cannot be read.
  await storedBefore(store, 'thing', 'odd', { type: 'Gone' })
  expect(await does(store, 'odd')).toMatchObject({
    code: 'DESERIALIZATION',
    aggregateType: 'thing',
    aggregateId: 'odd',
    sequence: 1,
  })
  // A driver fails in a way that nobody has thought of.
  const cause = new Error('SQLITE_IOERR')
  const failed = await does(sendingBy(store, async () => ({ kind: 'failed', certain: true, cause })))
  expect(failed).toMatchObject({ code: 'STORE_FAILED', cause })
  // The domain says no, and a handler throws.
  expect(await on(store).execute('t', { type: 'Refuse' })).toEqual({ ok: false, reason: 'no', details: { why: 'so' } })
  expect(await failureOf(on(store).execute('t', { type: 'Throw' }))).toBe(thrown)
})

describe('isCqrsError', () => {
  test('isCqrsError recognizes errors of the package and narrows them by code', async () => {
    const error: unknown = await failureOf(appOn().execute('c', count(1), { expectedSequence: 5 }))
    expect(isCqrsError(error)).toBe(true)
    expect(isCqrsError(error, 'VALIDATION')).toBe(false)
    if (!isCqrsError(error, 'CONFLICT')) throw new Error('not known')
    expect([error.aggregateId, error.expectedSequence, error.actualSequence]).toEqual(['c', 5, 0])
  })

  test.each([
    [undefined],
    [null],
    ['CONFLICT'],
    [{ code: 'CONFLICT' }],
    [new Error('CONFLICT')],
    [Object.assign(new Error('x'), { code: 'ECONNREFUSED' })],
    [Object.assign(new Error('x'), { code: 'toString' })],
    [Object.assign(new Error('x'), { code: 7 })],
  ])('isCqrsError returns false for %j', (value) => {
    expect(isCqrsError(value)).toBe(false)
  })

  test('errors, rejections, schemas, aggregates and stores work across two copies of the package', async () => {
    vi.resetModules()
    const other = await import('cqrs-es')
    const otherStores = await import('cqrs-es/memory')
    expect(other.ConflictError).not.toBe(ConflictError)
    const error = await failureOf(appOn(otherStores.memoryStore()).execute('c', count(1), { expectedSequence: 5 }))
    expect(error).not.toBeInstanceOf(other.ConflictError)
    expect(other.isCqrsError(error, 'CONFLICT')).toBe(true)
    const mixed = defineAggregate({
      type: 'mixed',
      events: { Did: other.typed<{ n: number }>(), Rested: other.noData },
      commands: { Do: other.noData, Refuse: noData },
      initialState: () => 0,
    }).implement({
      handle: { Do: () => [{ type: 'Did', data: { n: 1 } }, { type: 'Rested' }], Refuse: () => other.reject('no', 7) },
      apply: { Did: (n) => n + 1, Rested: (n) => n },
    })
    const { aggregates } = other.createApp({ store: memoryStore(), aggregates: { mixed, counter } })
    expect(await aggregates.mixed.execute('m', { type: 'Do' })).toMatchObject({ ok: true, sequence: 2, state: 1 })
    expect(await aggregates.mixed.execute('m', { type: 'Refuse' })).toEqual({ ok: false, reason: 'no', details: 7 })
  })
})
