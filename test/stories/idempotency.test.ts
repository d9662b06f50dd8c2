import { createApp, defineAggregate, noData, reject, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { failureOf } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { overtaken } from '../support/stores.ts'

const appOn = (store = memoryStore(), queries: (() => void)[] = []) =>
  createApp({ store, aggregates: { counter }, queries }).aggregates.counter

const key = { idempotencyKey: 'req-42' }

describe('a command repeated with its key', () => {
  test('a repeated command is stored once and returns the first result', async () => {
    const store = memoryStore()
    const c = appOn(store)
    const first = await c.execute('c', countEach(1, 2), key)
    const again = await c.execute('c', countEach(1, 2), key)
    expect(first).toMatchObject({ ok: true, replayed: false, sequence: 2, state: { total: 3 } })
    expect(again).toStrictEqual({ ...first, replayed: true })
    expect(await store.lastPosition()).toBe('2')
  })

  test('a repeated command returns the state and events of its time, whatever came later', async () => {
    const store = memoryStore()
    const c = appOn(store)
    await c.execute('c', count(5))
    const first = await c.execute('c', countEach(1, 2), key)
    await c.execute('c', countEach(10, 10, 10))
    const again = await c.execute('c', countEach(1, 2), key)
    expect(again).toStrictEqual({ ...first, replayed: true })
    expect(again).toMatchObject({ sequence: 3, state: { total: 8 } })
    expect(await c.load('c')).toEqual({ state: { total: 38 }, sequence: 6 })
  })

  test('a repeated command is recognized after a restart', async () => {
    const store = memoryStore()
    const first = await appOn(store).execute('c', count(1), key)
    expect(await appOn(store).execute('c', count(1), key)).toStrictEqual({ ...first, replayed: true })
  })

  test.each([1, 2])('eight concurrent commands with one key in %i processes are stored once', async (processes) => {
    const store = memoryStore()
    const apps = Array.from({ length: processes }, () => appOn(store))
    const sent = Array.from({ length: 8 }, (_, i) => (apps[i % processes] ?? appOn()).execute('c', count(7), key))
    const results = await Promise.all(sent)
    expect(results.filter((result) => result.ok && !result.replayed)).toHaveLength(1)
    for (const result of results) expect(result).toMatchObject({ ok: true, sequence: 1, state: { total: 7 } })
    expect(await store.lastPosition()).toBe('1')
  })

  test('a command that loses a race to its own duplicate returns the result of the duplicate', async () => {
    const store = memoryStore()
    const quicker = overtaken(store, () => appOn(store).execute('c', countEach(1, 2), key))
    const late = await appOn(quicker).execute('c', countEach(1, 2), key)
    expect(late).toMatchObject({ ok: true, replayed: true, sequence: 2, state: { total: 3 } })
    const mistaken = overtaken(store, () => appOn(store).execute('d', count(1), key))
    expect((await failureOf(appOn(mistaken).execute('d', count(2), key))).code).toBe('IDEMPOTENCY')
  })

  test('a repeated command calls no query', async () => {
    let called = 0
    const c = appOn(memoryStore(), [() => void called++])
    await c.execute('c', count(1), key)
    await c.execute('c', count(1), key)
    expect(called).toBe(1)
  })

  test('a repeated command may differ in metadata and in the order of its fields', async () => {
    const pair = defineAggregate({
      type: 'pair',
      events: { Paired: typed<{ a: number; b: number }>() },
      commands: { Pair: typed<{ a: number; b: number; c?: undefined }>() },
      initialState: () => 0,
    }).implement({
      handle: { Pair: (_, { a, b }) => ({ type: 'Paired', data: { a, b } }) },
      apply: { Paired: (_, { a, b }) => a + b },
    })
    const { pairs } = createApp({ store: memoryStore(), aggregates: { pairs: pair } }).aggregates
    await pairs.execute('p', { type: 'Pair', data: { a: 1, b: 2 } }, { ...key, metadata: { traceId: '1' } })
    const again = await pairs.execute(
      'p',
      { type: 'Pair', data: { b: 2, a: 1, c: undefined } },
      { ...key, metadata: { traceId: '2' } },
    )
    expect(again).toMatchObject({ replayed: true, events: [{ metadata: { traceId: '1' } }] })
  })

  test('a repeated command is replayed although its expected sequence has passed', async () => {
    const c = appOn()
    const options = { ...key, expectedSequence: 0 }
    await c.execute('c', count(1), options)
    await c.execute('c', count(1))
    expect(await c.execute('c', count(1), options)).toMatchObject({ ok: true, replayed: true, sequence: 1 })
  })

  test('a repeated command is replayed although its schema has become stricter', async () => {
    const amounts = (amount: z.ZodNumber) =>
      defineAggregate({
        type: 'till',
        events: { PaidIn: typed<{ amount: number }>() },
        commands: { PayIn: z.object({ amount }) },
        initialState: () => 0,
      }).implement({
        handle: { PayIn: (_, { amount }) => ({ type: 'PaidIn', data: { amount } }) },
        apply: { PaidIn: (sum, { amount }) => sum + amount },
      })
    const store = memoryStore()
    const command = { type: 'PayIn', data: { amount: 5_000 } } as const
    await createApp({ store, aggregates: { till: amounts(z.number()) } }).aggregates.till.execute('t', command, key)
    const strict = createApp({ store, aggregates: { till: amounts(z.number().max(1_000)) } }).aggregates.till
    expect(await strict.execute('t', command, key)).toMatchObject({ ok: true, replayed: true, state: 5_000 })
    expect((await failureOf(strict.execute('t', command))).code).toBe('VALIDATION')
  })
})

describe('a key', () => {
  test.each([
    ['other data', count(2)],
    ['another type', countEach(1)],
  ])('a key used again for a command with %s is refused, and nothing is stored', async (_, command) => {
    const store = memoryStore()
    const c = appOn(store)
    await c.execute('c', count(1), key)
    const error = await failureOf(c.execute('c', command, key))
    expect(error.code).toBe('IDEMPOTENCY')
    expect(error.message).toContain("The idempotencyKey 'req-42' was already used on counter 'c'")
    expect(await store.lastPosition()).toBe('1')
  })

  test('a key used for two different commands at the same time serves one of them', async () => {
    const store = memoryStore()
    const results = await Promise.allSettled([1, 2].map((by) => appOn(store).execute('c', count(by), key)))
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(results.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'IDEMPOTENCY' } })
    expect(await store.lastPosition()).toBe('1')
  })

  test('a key belongs to one aggregate', async () => {
    const c = appOn()
    await c.execute('a', count(1), key)
    expect(await c.execute('b', count(2), key)).toMatchObject({ ok: true, replayed: false, state: { total: 2 } })
  })

  test.each(['__proto__', 'constructor', 'a/b:c#d', '🔑'.repeat(127), "'; DROP TABLE events; --"])(
    'a key may be %j',
    async (text) => {
      const c = appOn()
      await c.execute('c', count(1), { idempotencyKey: text })
      expect(await c.execute('c', count(1), { idempotencyKey: text })).toMatchObject({ replayed: true })
      expect(await c.execute('c', count(1), { idempotencyKey: `${text}2` })).toMatchObject({ replayed: false })
    },
  )

  test.each([
    ['', 'must not be empty'],
    ['k'.repeat(256), 'the limit is 255'],
    ['a\0b', 'NUL'],
    ['\ud800', 'lone surrogate'],
    [7 as unknown as string, 'must be a text'],
  ])('a key must not be %j', async (text, problem) => {
    const error = await failureOf(appOn().execute('c', count(1), { idempotencyKey: text }))
    expect(error.code).toBe('VALIDATION')
    expect(error.message).toContain(problem)
  })

  test('a command with a key must be JSON', async () => {
    const wild = defineAggregate({
      type: 'wild',
      events: { Done: noData },
      commands: { Do: z.object({ when: z.date(), what: z.map(z.string(), z.number()).optional() }) },
      initialState: () => 0,
    }).implement({ handle: { Do: () => ({ type: 'Done' }) }, apply: { Done: (n) => n + 1 } })
    const w = createApp({ store: memoryStore(), aggregates: { wild } }).aggregates.wild
    const at = (data: { when: Date; what?: Map<string, number> }) => w.execute('w', { type: 'Do', data }, key)
    const error = await failureOf(at({ when: new Date(0), what: new Map() }))
    expect(error).toMatchObject({ code: 'VALIDATION', issues: [{ path: ['data', 'what'] }] })
    expect(await at({ when: new Date(0) })).toMatchObject({ replayed: false })
    expect(await at({ when: new Date(0) })).toMatchObject({ replayed: true })
    expect((await failureOf(at({ when: new Date(1) }))).code).toBe('IDEMPOTENCY')
  })
})

describe('outcomes that a key does not keep', () => {
  test('a rejected command is decided again under its key', async () => {
    const c = appOn()
    expect(await c.execute('c', count(-1), key)).toMatchObject({ ok: false })
    await c.execute('c', count(5))
    expect(await c.execute('c', count(-1), key)).toMatchObject({ ok: true, replayed: false, state: { total: 4 } })
  })

  test('a command without events is decided again under its key', async () => {
    const c = appOn()
    expect(await c.execute('c', countEach(), key)).toMatchObject({ ok: true, replayed: false, sequence: 0 })
    expect(await c.execute('c', count(1), key)).toMatchObject({ ok: true, replayed: false, sequence: 1 })
  })

  test('a failed command is decided again under its key', async () => {
    let broken = true
    const fragile = defineAggregate({
      type: 'fragile',
      events: { Held: noData },
      commands: { Hold: noData },
      initialState: () => 0,
    }).implement({
      handle: {
        Hold: () => {
          if (broken) throw new Error('broken')
          return broken ? reject('never') : { type: 'Held' }
        },
      },
      apply: { Held: (n) => n + 1 },
    })
    const f = createApp({ store: memoryStore(), aggregates: { fragile } }).aggregates.fragile
    expect((await failureOf(f.execute('f', { type: 'Hold' }, key))).message).toBe('broken')
    broken = false
    expect(await f.execute('f', { type: 'Hold' }, key)).toMatchObject({ ok: true, replayed: false, state: 1 })
  })
})
