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
  { name: 'memory', open: async () => memoryStore(), seeds: atStrength({ moderate: 8, full: 300 }) },
  { name: 'SQLite', open: onSqlite, seeds: atStrength({ moderate: 1, full: 50 }) },
] as const

const onFailure = { retry: { firstMs: 2, factor: 1.5, maxMs: 10, forMs: 600_000 }, then: 'park' }

const kinds: readonly { readonly title: string; readonly options: Partial<Simulation>; readonly isCalm: boolean }[] = [
  { title: 'whose number is changed all the time', options: { relayout: 0.3 }, isCalm: true },
  { title: 'with events that fail a few times', options: { relayout: 0.2, failure: 0.05, onFailure }, isCalm: true },
  { title: 'of processes that die', options: { relayout: 0.2, death: 0.004, leaseMs: 25 }, isCalm: false },
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
  test.each(kinds)('$title deliver every event, in order', async ({ options, isCalm }) => {
    const sum = new Map<string, number>()
    for (let seed = 1; seed <= seeds; seed++) {
      const fates = await simulate(await open(), { ...options, seed, random: randomOf(seed * 7919) })
      for (const [key, n] of Object.entries(fates)) sum.set(key, (sum.get(key) ?? 0) + n)
      expect({ seed, lost: fates.lost, outOfOrder: fates.outOfOrder }).toEqual({ seed, lost: 0, outOfOrder: 0 })
      if (isCalm) expect({ seed, twice: fates.twice }).toEqual({ seed, twice: 0 })
    }
    console.log(`${name}, ${seeds} runs of 400 events:`, JSON.stringify(Object.fromEntries(sum) satisfies Partial<Fates>))
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
    const change = changeLayout(frozen.core, 'subscription/s', 4, { untilMs: Date.now() + 10_000 })
    await new Promise((resolve) => setTimeout(resolve, leaseMs * 3))
    const second = processOf(store, { name: 's', holder: 'second', leaseMs, handle })
    for (let i = 0; i < 30; i++) await second.consumer.run()
    goOn()
    const isChanged = await change
    for (let i = 0; i < 30; i++) await second.consumer.run()
    await second.consumer.release()
    return { isChanged, handled: times.size, twice: [...times.values()].filter((n) => n > 1).length }
  }

  test('is refused to a process that was frozen in it, and no event is handled twice', async () => {
    expect(await frozenInAChange(memoryStore())).toEqual({ isChanged: false, handled: 400, twice: 0 })
  })

  test('without seals lets a frozen process turn the others back', async () => {
    const { isChanged, twice } = await frozenInAChange(withoutSeals(memoryStore()))
    expect(isChanged).toBe(true)
    expect(twice).toBeGreaterThan(100)
  })
})
