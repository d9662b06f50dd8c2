import { createApp, defineAggregate, defineSubscription, defineView, noData, type Runtime, typed, versions } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { thrownBy } from '../support/async.ts'
import { bankAccount } from '../support/bank-account.ts'
import { counter } from '../support/counter.ts'
import { standingStill } from '../support/runtime.ts'

const refused = (run: () => unknown, ...words: string[]) => {
  const error = thrownBy(run)
  expect(error.code).toBe('DEFINITION')
  expect(error.name).toBe('DefinitionError')
  for (const each of words) expect(error.message).toContain(each)
}

describe('createApp', () => {
  const good = { store: memoryStore(), aggregates: { counter } }
  const validateCheck = async () => true
  const row = defineView({ name: 'row', aggregates: [counter], initialView: () => ({}), update: {} })

  test.each<[string, unknown, string[]]>([
    ['nothing', undefined, ['createApp']],
    ['a misspelt option', { ...good, aggregate: {} }, ["no option 'aggregate'", 'aggregates']],
    ['no store', { aggregates: {} }, ['store', 'memoryStore()']],
    [
      'a database client as store',
      { ...good, store: { query: () => {}, connect: () => {} } },
      ['not the database client itself'],
    ],
    ['no aggregates', { store: memoryStore() }, ['aggregates']],
    ['a list of aggregates', { ...good, aggregates: [counter] }, ['by name']],
    ['something that is no aggregate', { ...good, aggregates: { counter: {} } }, ['aggregates.counter']],
    [
      'a definition without implement',
      { ...good, aggregates: { x: defineAggregate({ type: 'x', events: {}, commands: {}, initialState: () => 0 }) } },
      ['aggregates.x', 'Call .implement({ handle, apply })'],
    ],
    ['one aggregate type twice', { ...good, aggregates: { a: counter, b: counter } }, ["'counter' is registered twice"]],
    ['one view name twice', { ...good, views: { a: row, b: row } }, ["'row' is registered twice"]],
    ['something that is no view', { ...good, views: { row: counter.type } }, ['views.row', 'defineView']],
    ['services that are missing', { ...good, aggregates: { account: bankAccount } }, ["'account' needs services", 'account: …']],
    [
      'services under another name',
      { ...good, aggregates: { account: bankAccount }, services: { bank: { validateCheck } } },
      ['services.bank', 'account'],
    ],
    ['services of an aggregate that has none', { ...good, services: { counter: {} } }, ['services.counter', 'counter']],
    ['a query that is no function', { ...good, queries: [() => {}, 7] }, ['queries[1]']],
    ['a query instead of a list', { ...good, queries: () => {} }, ['list']],
    ['an onQueryError that is no function', { ...good, onQueryError: 'log' }, ['onQueryError']],
    ['maxAttempts below 1', { ...good, maxAttempts: 0 }, ['maxAttempts', '0']],
    ['maxAttempts without end', { ...good, maxAttempts: Number.POSITIVE_INFINITY }, ['maxAttempts']],
    ['a cache of 0', { ...good, cache: { maxAggregates: 0 } }, ['cache: false']],
    ['a misspelt cache option', { ...good, cache: { max: 5 } }, ["no option 'max'"]],
    ['cache: true', { ...good, cache: true }, ['cache']],
    ['a runtime with a part missing', { ...good, runtime: { now: () => new Date(0) } }, ['runtime.randomUUID']],
    ['an observer that is no function', { ...good, observe: [] }, ['observe']],
  ])('createApp refuses %s', (_, options, words) => {
    refused(() => createApp(options as never), ...words)
  })

  test('createApp accepts names of JavaScript’s own objects', async () => {
    const { aggregates } = createApp({
      store: memoryStore(),
      aggregates: { constructor: counter, ['__proto__']: bankAccount },
      services: { ['__proto__']: { validateCheck } },
    })
    expect(Object.keys(aggregates).sort()).toEqual(['__proto__', 'constructor'])
    expect(await aggregates.constructor.load('c')).toEqual({ state: { total: 0 }, sequence: 0 })
  })
})

describe('defineAggregate', () => {
  const good = { type: 'x', events: { Done: noData }, commands: { Do: noData }, initialState: () => ({ n: 0 }) }
  test.each<[string, object, string[]]>([
    ['a misspelt option', { snapshot: 'always' }, ["no option 'snapshot'", 'snapshots']],
    ['no type', { type: '' }, ['must not be empty']],
    ['a type with a colon', { type: 'a:b' }, ["':'"]],
    ['a type with a slash', { type: 'a/b' }, ["'/'"]],
    ['a type that is too long', { type: 'x'.repeat(256) }, ['255']],
    ['an event type that is too long', { events: { ['x'.repeat(256)]: noData } }, ["Aggregate 'x': events", '255']],
    ['the event type __proto__', { events: { ['__proto__']: noData } }, ['__proto__', 'reserved']],
    ['the command type __proto__', { commands: { ['__proto__']: noData } }, ['__proto__', 'reserved']],
    ['no events', { events: undefined }, ["Aggregate 'x': events"]],
    ['no commands', { commands: null }, ["Aggregate 'x': commands"]],
    ['services themselves', { services: { send: () => {} } }, ['typed<Services>()']],
    ['an initial state instead of a function', { initialState: { n: 0 } }, ['initialState', 'function']],
    ['an initial state that is not JSON', { initialState: () => ({ at: [new Date(0)] }) }, ['at[0] is a Date']],
    ['no initial state', { initialState: () => undefined }, ['initialState()']],
    ['a state version that is none', { stateVersion: '' }, ['stateVersion']],
    ['upcasters that are no list', { upcasters: {} }, ['upcasters']],
  ])('defineAggregate refuses %s', (_, wrong, words) => {
    refused(() => defineAggregate({ ...good, ...wrong } as never), ...words)
  })

  test.each<[string, object, string[]]>([
    ['a missing handler', { handle: {} }, ['handle', "'Do'"]],
    ['a misspelt handler', { handle: { Do: () => {}, Doo: () => {} } }, ["'Doo'", 'Its commands: Do']],
    ['a missing apply', { apply: {} }, ['apply', "'Done'"]],
    ['a misspelt apply', { apply: { Done: () => 0, Donne: () => 0 } }, ["'Donne'", 'Its events: Done']],
    ['a handler that is no function', { handle: { Do: 'it' } }, ["'Do'"]],
    ['a function of Object as handler', { handle: Object.create({ Do: () => {} }) }, ["'Do'"]],
    ['a misspelt part', { handlers: {} }, ["no option 'handlers'"]],
    ['no handle at all', { handle: undefined }, ['handle']],
  ])('defineAggregate refuses %s', (_, wrong, words) => {
    const implementation = { handle: { Do: () => {} }, apply: { Done: () => ({ n: 0 }) }, ...wrong }
    refused(() => defineAggregate(good).implement(implementation as never), "Aggregate 'x'", ...words)
  })

  test('defineAggregate refuses an invalid upcaster', () => {
    const define = () =>
      defineAggregate({ ...good, upcasters: [{} as never] }).implement({
        handle: { Do: () => {} },
        apply: { Done: (state) => state },
      })
    refused(define, 'upcasters[0].canUpcast')
  })

  test('defineAggregate accepts event types named like members of Object', async () => {
    const odd = defineAggregate({
      type: 'constructor',
      events: { constructor: typed<{ n: number }>(), toString: noData, valueOf: versions('2.0', noData, {}) },
      commands: { hasOwnProperty: noData },
      initialState: () => 0,
    }).implement({
      handle: { hasOwnProperty: (_, __, { event }) => [event.constructor({ n: 1 }), event.toString(), { type: 'valueOf' }] },
      apply: { constructor: (n) => n + 1, toString: (n) => n + 1, valueOf: (n) => n + 1 },
    })
    const { aggregates } = createApp({ store: memoryStore(), aggregates: { odd } })
    expect(await aggregates.odd.execute('toString', { type: 'hasOwnProperty' })).toMatchObject({ ok: true, state: 3 })
    expect(await aggregates.odd.load('toString')).toEqual({ state: 3, sequence: 3 })
  })
})

test('createApp draws no random values and sets no timers, so a Worker can call it globally', async () => {
  const { runtime } = standingStill()
  let isGlobal = true
  const asked: string[] = []
  const watch = <F extends (...args: never[]) => unknown>(name: string, real: F): F =>
    ((...args: never[]) => {
      if (isGlobal) asked.push(name)
      return real(...args)
    }) as F
  const watched: Runtime = {
    now: watch('now', runtime.now),
    randomUUID: watch('randomUUID', runtime.randomUUID),
    random: watch('random', runtime.random),
    sleep: watch('sleep', runtime.sleep),
  }
  const subscription = defineSubscription({ name: 'log', aggregates: [counter], handle: () => {} })
  const total = defineView({
    name: 'total',
    aggregates: [counter],
    initialView: () => 0,
    id: () => 'all',
    update: { Counted: (n, event) => n + event.data.by },
    consistency: 'async',
  })
  const app = createApp({
    store: memoryStore(),
    aggregates: { counter },
    views: { total },
    subscriptions: { subscription },
    runtime: watched,
  })
  isGlobal = false
  await app.aggregates.counter.execute('a', { type: 'Count', data: { by: 2 } })
  expect(await app.drain()).toEqual({ caughtUp: true, events: 2 })
  expect(asked).toEqual([])
})
