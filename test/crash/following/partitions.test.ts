// biome-ignore-all lint/suspicious/noThenProperty: an option has this name
import { join } from 'node:path'
import type { Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { describe, expect, test } from 'vitest'
import { changeLayout } from '../../../src/consumers/relayout.ts'
import { privateFolder } from '../../servers/child.ts'
import { atStrength } from '../../strength.ts'
import { randomOf } from '../../support/random.ts'
import { changed } from '../../support/stores.ts'
import { appendTo, type Fates, processOf, type Simulation, simulate, withoutSeals } from './simulation.ts'

const onSqlite = async (): Promise<Store> => {
  const store = sqliteStore(new Database(join(await privateFolder('partitions'), 'log.db')) as never)
  await store.createSchema()
  return store
}

const stores = [
  { name: 'memory', open: async () => memoryStore(), seeds: atStrength({ moderate: 2, full: 300 }) },
  { name: 'SQLite', open: onSqlite, seeds: atStrength({ moderate: 1, full: 50 }) },
] as const

/** Of each run. A reset delivers them again, so that the time it takes grows faster than their number. */
const events = atStrength({ moderate: 150, full: 400 })

const onFailure = { retry: { firstMs: 2, factor: 1.5, maxMs: 10, forMs: 600_000 }, then: 'park' }

const kinds: readonly { readonly title: string; readonly options: Partial<Simulation>; readonly isCalm: boolean }[] = [
  { title: 'whose number is changed all the time', options: { relayout: 0.3 }, isCalm: true },
  { title: 'with events that fail a few times', options: { relayout: 0.2, failure: 0.05, onFailure }, isCalm: true },
  { title: 'of processes that die', options: { relayout: 0.2, death: 0.004, leaseMs: 25 }, isCalm: false },
  {
    title: 'that are reset now and then',
    options: { relayout: 0.1, reset: 0.01, failure: 0.05, onFailure, death: 0.001, leaseMs: 40 },
    isCalm: false,
  },
  {
    title: 'of processes that die, with events that fail a few times',
    options: { relayout: 0.2, death: 0.004, leaseMs: 25, failure: 0.05, onFailure },
    isCalm: false,
  },
  {
    title: 'of processes that freeze for longer than a lease',
    options: { relayout: 0.2, freeze: 0.003, leaseMs: 15 },
    isCalm: false,
  },
]

describe.each(stores)('partitions on $name', ({ name, open, seeds }) => {
  test.each(kinds)('$title deliver every event in order', async ({ options, isCalm }) => {
    const sum = new Map<string, number>()
    for (let seed = 1; seed <= seeds; seed++) {
      const fates = await simulate(await open(), { ...options, events, seed, random: randomOf(seed * 7919) })
      for (const [key, n] of Object.entries(fates)) sum.set(key, (sum.get(key) ?? 0) + n)
      expect({ seed, lost: fates.lost, outOfOrder: fates.outOfOrder }).toEqual({ seed, lost: 0, outOfOrder: 0 })
      if (isCalm) expect({ seed, twice: fates.twice }).toEqual({ seed, twice: 0 })
    }
    console.log(`${name}, ${seeds} runs of ${events} events:`, JSON.stringify(Object.fromEntries(sum) satisfies Partial<Fates>))
    expect(sum.get('layouts')).toBeGreaterThan(0)
  })
})

describe('a change of the layout', () => {
  const leaseMs = 100

  /** 400 events, some of them handled; then a process is frozen just before it writes the new layout, and another one goes on. */
  async function frozenInAChange(store: Store) {
    const times = new Map<string, number>()
    const handle = async ({ aggregateId, sequence }: { readonly aggregateId: string; readonly sequence: number }) => {
      const key = `${aggregateId}/${sequence}`
      times.set(key, (times.get(key) ?? 0) + 1)
      await new Promise((resolve) => setImmediate(resolve))
    }
    for (let i = 0; i < 20; i++) await appendTo(store, 's', `a${i}`, 0, 20)
    const first = processOf(store, { name: 's', holder: 'first', leaseMs, handle })
    await first.consumer.run({ maxEvents: 50 })
    let goOn = () => {}
    const gate = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const freezing = changed(store, {
      append: async (commits) => {
        if (commits.some(({ views = [] }) => views.some(({ name }) => name === '~processor'))) await gate
        return store.append(commits)
      },
    })
    const frozen = processOf(freezing, { name: 's', holder: 'frozen', leaseMs, handle })
    const change = changeLayout(frozen.core, 'subscription/s', 4, { budgetMs: 10_000 })
    await new Promise((resolve) => setTimeout(resolve, leaseMs * 3))
    const second = processOf(store, { name: 's', holder: 'second', leaseMs, handle })
    for (let i = 0; i < 30; i++) await second.consumer.run()
    goOn()
    const isChanged = await change
    for (let i = 0; i < 30; i++) await second.consumer.run()
    await second.consumer.release()
    return { isChanged, handled: times.size, twice: [...times.values()].filter((n) => n > 1).length }
  }

  test('a change of the layout is refused to a process that was frozen in it', async () => {
    expect(await frozenInAChange(memoryStore())).toEqual({ isChanged: false, handled: 400, twice: 0 })
  })

  test('a change without seals lets a frozen process revert the layout', async () => {
    const { isChanged, twice } = await frozenInAChange(withoutSeals(memoryStore()))
    expect(isChanged).toBe(true)
    expect(twice).toBeGreaterThan(100)
  })

  test('repeated changes of the layout with open events deliver each event once', async () => {
    const store = memoryStore()
    const random = randomOf(7)
    const times = new Map<string, number>()
    const handle = async ({ aggregateId, sequence }: { readonly aggregateId: string; readonly sequence: number }) => {
      const key = `${aggregateId}/${sequence}`
      times.set(key, (times.get(key) ?? 0) + 1)
      for (let i = random() * 5; i > 0; i--) await new Promise((resolve) => setImmediate(resolve))
    }
    const aggregates = 40
    for (let n = 0; n < 30; n++) for (let i = 0; i < aggregates; i++) await appendTo(store, 's', `a${i}`, n * 2, 2)
    const { core, consumer } = processOf(store, { name: 's', holder: 'one', leaseMs: 60_000, concurrency: 8, random, handle })
    let opened = 0
    for (const partitions of [4, 3, 64, 1, 64, 3, 4, 1]) {
      await consumer.run({ maxEvents: 70 })
      await consumer.release()
      expect(await changeLayout(core, 'subscription/s', partitions, { budgetMs: 10_000 })).toBe(true)
      const [row] = await store.readViews([{ name: '~processor', generation: 1, id: 'subscription/s' }])
      const from = String((row?.view as { readonly from?: string } | undefined)?.from)
      if (from.includes('"open"')) opened++
      expect(from.length).toBeLessThan(10_000)
    }
    expect(opened).toBeGreaterThan(4)
    while ((await consumer.run()).state !== 'caught-up');
    await consumer.release()
    expect([...times.values()].filter((n) => n !== 1)).toEqual([])
    expect(times.size).toBe(aggregates * 60)
  })

  test.each(['before', 'after'] as const)(
    'a change of the layout that is interrupted %s any of its calls delivers each event once',
    async (when) => {
      for (let [nth, calls] = [1, 1]; nth <= calls; nth++) {
        const store = memoryStore()
        const times = new Map<string, number>()
        const handle = async ({ aggregateId, sequence }: { readonly aggregateId: string; readonly sequence: number }) => {
          const key = `${aggregateId}/${sequence}`
          times.set(key, (times.get(key) ?? 0) + 1)
          await new Promise((resolve) => setImmediate(resolve))
        }
        for (let i = 0; i < 10; i++) await appendTo(store, 's', `a${i}`, 0, 20)
        const options = { name: 's', leaseMs: 60_000, handle, concurrency: 4 }
        const first = processOf(store, { ...options, holder: 'first' })
        await first.consumer.run({ maxEvents: 50 })
        await first.consumer.release()
        let made = 0
        const breaking = new Proxy(store, {
          get(target, key) {
            const member: unknown = Reflect.get(target, key)
            // What it holds is given back, as by a process that has died.
            if (typeof member !== 'function' || key === 'releaseLease') return member
            return async (...args: unknown[]) => {
              const breaks = ++made === nth
              if (breaks && when === 'before') throw new Error('broken off')
              const answer: unknown = await member.apply(target, args)
              if (breaks) throw new Error('broken off')
              return answer
            }
          },
        })
        const broken = processOf(breaking, { ...options, holder: 'broken' })
        await changeLayout(broken.core, 'subscription/s', 4, { budgetMs: 10_000 }).catch(() => {})
        calls = Math.max(calls, made)
        const second = processOf(store, { ...options, holder: 'second' })
        // Two at once: one of them does it.
        const changes = [first, second].map(({ core }) => changeLayout(core, 'subscription/s', 3, { budgetMs: 0 }))
        expect((await Promise.all(changes)).filter(Boolean).length).toBeLessThanOrEqual(1)
        for (const { consumer } of [second, first]) {
          while ((await consumer.run()).state !== 'caught-up');
          await consumer.release()
        }
        expect({ nth, handled: times.size }).toEqual({ nth, handled: 200 })
        expect([...times.values()].filter((n) => n !== 1)).toEqual([])
      }
    },
  )
})
