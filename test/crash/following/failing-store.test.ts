// biome-ignore-all lint/suspicious/noThenProperty: an option has this name
import { createApp, defineSubscription, defineView, platformRuntime, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { everySecond, isFull } from '../../strength.ts'
import { settled } from '../../support/async.ts'
import { countEach, counter } from '../../support/counter.ts'
import type { LogOptions } from '../../support/logging.ts'
import { reporting, unordered } from '../../support/stores.ts'

const ids = ['a', 'b', 'c', 'd']
const down = () => new Error('down')

/** A store whose call of a number fails, before or after it does what it was asked for. Calls are counted from `begin` to `end`. */
function failingAt(store: Store, nth: number, when: 'before' | 'after') {
  let calls: number | undefined
  const failing = new Proxy(store, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key)
      if (typeof member !== 'function') return member
      return async (...args: readonly unknown[]) => {
        const fails = calls !== undefined && ++calls === nth
        const fail = () => {
          if (key !== 'append') throw down()
          return (args[0] as readonly unknown[]).map(() => ({ kind: 'failed', certain: when === 'before', cause: down() }))
        }
        if (fails && when === 'before') return fail()
        const answer: unknown = await member.apply(target, args)
        return fails ? fail() : answer
      }
    },
  })
  const begin = () => {
    calls = 0
  }
  const end = () => {
    const used = calls ?? 0
    calls = undefined
    return used
  }
  return { store: failing, begin, end }
}

/** Four aggregates, two of whose events fail once or twice, until all is delivered. Answers how many calls of the store that took. */
async function deliverAll(
  open: () => Store,
  nth: number,
  when: 'before' | 'after',
  options: Partial<LogOptions>,
): Promise<number> {
  const { store, begin, end } = failingAt(open(), nth, when)
  const clock = { now: Date.UTC(2030, 0, 1) }
  // Waits take no time, but for those that nobody shall come to the end of.
  const sleep = (ms: number, signal?: AbortSignal) => (ms > 5_000 ? platformRuntime.sleep(ms, signal) : settled())
  const runtime = { ...platformRuntime, now: () => new Date(clock.now), sleep }
  const seen: { readonly aggregateId: string; readonly sequence: number }[] = []
  const failures = new Map([
    ['counter/b/2', 1],
    ['counter/c/1', 2],
  ])
  const log = defineSubscription({
    name: 'log',
    aggregates: [counter],
    handle: async (event: { readonly id: string; readonly aggregateId: string; readonly sequence: number }) => {
      await settled()
      const left = failures.get(event.id) ?? 0
      failures.set(event.id, left - 1)
      if (left > 0) throw new Error('no')
      seen.push(event)
    },
    ...options,
  } as LogOptions)
  const rows = defineView({
    name: 'rows',
    aggregates: [counter],
    consistency: 'async',
    initialView: () => ({ events: 0 }),
    update: { Counted: ({ events }) => ({ events: events + 1 }) },
  })
  const app = createApp({
    store,
    aggregates: { counter },
    subscriptions: { log },
    views: { rows },
    following: { leaseMs: 60_000 },
    runtime,
    observe: () => {},
  })
  for (const id of ids) await app.aggregates.counter.execute(id, countEach(1, 1, 1))
  for (const id of ids) await app.aggregates.counter.execute(id, countEach(1))
  begin()
  const delivered = () => new Set(seen.map(({ aggregateId, sequence }) => `${aggregateId}/${sequence}`)).size
  for (let i = 0; i < 10 && delivered() < 16; i++) {
    await app.drain({ reconcile: true }).catch(() => {})
    clock.now += 1_000
    await app.subscriptions.log.resume().catch(() => {})
  }
  const used = end()
  await app.drain({ reconcile: true })
  expect({ nth, when, delivered: delivered() }).toEqual({ nth, when, delivered: 16 })
  for (const id of ids) {
    const sequences = seen.filter(({ aggregateId }) => aggregateId === id).map(({ sequence }) => sequence)
    // What comes again does so in order, too.
    for (const [i, sequence] of sequences.entries())
      expect(sequence).toBeLessThanOrEqual(Math.max(0, ...sequences.slice(0, i)) + 1)
    expect((await app.views.rows.load(id))?.view).toEqual({ events: 4 })
  }
  await app.close()
  return used
}

const retry = { retry: { firstMs: 100, forMs: 3_600_000 }, then: 'park' } as const
const stores = [
  ['a log', () => memoryStore()],
  ['a store without a global order', () => unordered(memoryStore())],
  ['the same with a stream', () => reporting(memoryStore())],
] as const

describe.each(stores)('when each call of %s fails in turn', (name, open) => {
  const isLog = name === 'a log'
  const several = { concurrency: 4, partitions: isLog ? 4 : 1 }
  const all: readonly Partial<LogOptions>[] = [
    { onFailure: 'park', ...several },
    { onFailure: retry },
    { onFailure: 'stop' },
    { onFailure: 'retry', ...several },
    { onFailure: retry, ...several },
    { onFailure: 'park' },
  ]
  // By day each store has one of the first two.
  const first = everySecond(all.slice(0, 2), name === 'a store without a global order' ? 1 : 0)
  const options = isFull ? all : first
  test.each(options)('every event is delivered in order, with %j', async (chosen) => {
    let calls = Number.POSITIVE_INFINITY
    for (let nth = 1; nth <= calls; nth++)
      for (const when of ['before', 'after'] as const) {
        const used = await deliverAll(open, nth, when, chosen)
        if (used < nth) calls = used
      }
    expect(calls).toBeGreaterThan(30)
  })
})
