import { createApp, defineView, isCqrsError, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { atStrength } from '../../strength.ts'
import { count, counter } from '../../support/counter.ts'
import { randomOf } from '../../support/random.ts'
import { unordered } from '../../support/stores.ts'
import { virtualTime } from '../../support/virtual-time.ts'

/** Longer than a look at every aggregate waits for the list of them. */
const leaseMs = 3_000
const ids = ['a', 'b', 'c']
const names = ['one', 'many', 'behind'] as const

/** Every event counts once, and as much as the version says: a row that two versions wrote, or that has an event twice or not at all, shows. */
const viewOf = (name: (typeof names)[number], viewVersion: number) =>
  defineView({
    name,
    aggregates: [counter],
    initialView: () => ({ count: 0, sum: 0 }),
    ...(name === 'one' ? {} : { id: () => 'all' }),
    update: { Counted: (view, event) => ({ count: view.count + 1, sum: view.sum + event.data.by * viewVersion }) },
    consistency: name === 'behind' ? 'async' : 'inline',
    viewVersion,
  })

/** Web Crypto takes real time. */
let digests = 0
beforeAll(() => {
  const digest = crypto.subtle.digest.bind(crypto.subtle)
  vi.spyOn(crypto.subtle, 'digest').mockImplementation((...input) => {
    digests++
    return digest(...input).finally(() => {
      digests--
    })
  })
})
afterAll(() => {
  vi.restoreAllMocks()
})

type Time = ReturnType<typeof virtualTime>
const appOn = (store: Store, viewVersion: number, { runtime }: Time) =>
  createApp({
    store,
    aggregates: { counter },
    views: { one: viewOf('one', viewVersion), many: viewOf('many', viewVersion), behind: viewOf('behind', viewVersion) },
    observe: () => {},
    runtime,
    following: { leaseMs, pollMs: 50 },
  })
type App = ReturnType<typeof appOn>

/** A process: every call of the store takes its time, sometimes longer than a lease, and at one of them it may die, before it is made or after. */
function processOn(store: Store, time: Time, random: () => number, { dies, freezes }: { dies: boolean; freezes: boolean }) {
  let calls = 0
  let die = () => {}
  let isDead = false
  const died = new Promise<void>((resolve) => {
    die = () => {
      isDead = true
      resolve()
    }
  })
  const last = dies ? 1 + Math.floor(random() ** 2 * 400) : Number.POSITIVE_INFINITY
  const pauseOf = () => (freezes && random() < 0.004 ? leaseMs * 3 * random() : random() < 0.1 ? random() * 60 : random() * 4)
  const slow = new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function' || name === 'watch' || name === 'printSchema') return member
      return async (...args: unknown[]) => {
        const isLast = ++calls === last
        await time.sleep(pauseOf())
        if (isLast && random() < 0.5) die()
        const answer: unknown = isDead ? undefined : await member.apply(target, args)
        if (isLast) die()
        if (isDead) return new Promise(() => {})
        await time.sleep(pauseOf())
        return answer
      }
    },
  })
  return { store: slow, died, isDead: () => isDead }
}

/** Notes what becomes of the generations. */
function watched(store: Store) {
  const added: string[] = []
  const lived = new Map<string, number[]>(names.map((name) => [name, [1]]))
  const versions = new Map<string, string>()
  const proxy = new Proxy(store, {
    get(target, name) {
      if (name === 'addViewGeneration')
        return async (generation: Parameters<Store['addViewGeneration']>[0]) => {
          const isAdded = await store.addViewGeneration(generation)
          if (isAdded) added.push(`${generation.name} ${generation.viewVersion}`)
          if (isAdded) versions.set(`${generation.name} ${generation.generation}`, generation.viewVersion)
          return isAdded
        }
      if (name === 'switchViewGeneration')
        return async (change: Parameters<Store['switchViewGeneration']>[0]) => {
          const isSwitched = await store.switchViewGeneration(change)
          if (isSwitched) lived.get(change.name)?.push(change.to)
          return isSwitched
        }
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
  const versionsLived = (name: string) => (lived.get(name) ?? []).map((one) => versions.get(`${name} ${one}`) ?? '1')
  return { store: proxy, added, lived, versionsLived }
}

const kinds: Readonly<Record<string, { rounds: number; dies: boolean; open(time: Time): Promise<Store> }>> = {
  memory: { rounds: atStrength({ moderate: 60, full: 600 }), dies: true, open: async (time) => memoryStore({ clock: time.now }) },
  'a store without an order of all events': {
    rounds: atStrength({ moderate: 40, full: 400 }),
    dies: true,
    open: async (time) => unordered(memoryStore({ clock: time.now })),
  },
  // Its leases go by the clock of the machine.
  SQLite: {
    rounds: atStrength({ moderate: 10, full: 100 }),
    dies: false,
    open: async () => {
      const store = sqliteStore(new Database(':memory:'))
      await store.createSchema()
      return store
    },
  },
}

/** One round: some processes of some versions write, read, drain, rebuild and die at random; then all rows must be right. */
async function play(kind: keyof typeof kinds, seed: number): Promise<void> {
  const random = randomOf(seed)
  const pick = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)] as T
  const time = virtualTime(random, () => digests > 0)
  const { dies, open } = kinds[kind] as (typeof kinds)[string]
  const real = await open(time)
  const { store, added, lived, versionsLived } = watched(real)
  // Without it a version is live once at the most, and nobody rebuilds what others have.
  const rebuilds = random() < 0.6
  const canStart = real.capabilities.globalOrder
  const begun = new Map(ids.map((id) => [id, 0]))
  const stored = new Map(ids.map((id) => [id, 0]))
  const total = (of: ReadonlyMap<string, number>) => [...of.values()].reduce((sum, one) => sum + one, 0)
  const problems: string[] = []

  /** Other versions and other writers may be first. */
  const refusedOr = async <T>(what: Promise<T>): Promise<T | undefined> =>
    what.catch((error: unknown) => {
      if (!isCqrsError(error, 'VIEW_OUTDATED') && !isCqrsError(error, 'CONFLICT')) throw error
      return undefined
    })

  async function write({ aggregates }: App): Promise<void> {
    const id = pick(ids)
    begun.set(id, (begun.get(id) ?? 0) + 1)
    const result = await refusedOr(aggregates.counter.execute(id, count(1)))
    if (result === undefined) begun.set(id, (begun.get(id) ?? 0) - 1)
    else stored.set(id, (stored.get(id) ?? 0) + 1)
  }

  async function read(app: App, version: number): Promise<void> {
    const id = pick(ids)
    const least = { one: stored.get(id) ?? 0, many: total(stored) }
    for (const name of ['one', 'many'] as const) {
      const row = await refusedOr(
        app.views[name].load(name === 'one' ? id : 'all').then((row) => row ?? { view: { count: 0, sum: 0 } }),
      )
      if (row === undefined) continue
      const { count, sum } = row.view
      // What is refused is begun for a moment.
      const most = name === 'one' ? (begun.get(id) ?? 0) : total(begun)
      const isRight = count >= least[name] && count <= most + 10 && sum === count * version
      if (!isRight) problems.push(`${name} of version ${version}: ${count}, ${sum}; ${least[name]} to ${most} were stored`)
    }
    const found = await refusedOr(app.views.one.find())
    const row = found?.items.find((item) => item.id === id)?.view
    if (found !== undefined && (row?.count ?? 0) < least.one) problems.push(`found one: ${row?.count} of ${least.one}`)
  }

  async function live(version: number, part: number): Promise<void> {
    const process = processOn(store, time, random, { dies: dies && random() < 0.4, freezes: dies })
    const app = appOn(process.store, version, time)
    const script = async () => {
      await time.sleep(random() * 150)
      for (let step = 0; step < 12; step++) {
        const what = pick([
          'write',
          'write',
          'write',
          'read',
          'read',
          'drain',
          ...(rebuilds ? ['rebuild'] : []),
          ...(canStart ? ['start'] : []),
        ])
        if (what === 'write') for (let i = 0; i < 4; i++) await write(app)
        if (what === 'read') await read(app, version)
        if (what === 'drain') await app.drain({ budgetMs: pick([0, 20, 5_000]) })
        if (what === 'start') await app.start()
        if (what === 'rebuild') await refusedOr(app.views[pick(names)].rebuild())
      }
      await app.close()
    }
    const failed = (error: unknown) => {
      if (!process.isDead())
        problems.push(`process ${part} of version ${version}: ${error instanceof Error ? error.stack : error}`)
    }
    await Promise.race([script().catch(failed), process.died])
  }

  async function check(): Promise<void> {
    for (const name of names) {
      const version = Number(versionsLived(name).at(-1))
      const app = appOn(store, version, time)
      const view = app.views[name]
      await view.caughtUp()
      const at: Record<string, number> = {}
      for (const id of ids) at[id] = (await app.aggregates.counter.load(id)).sequence
      const all = Object.values(at).reduce((sum, one) => sum + one, 0)
      const expected = name === 'one' ? at : { all }
      for (const [id, count] of Object.entries(expected)) {
        const row = await view.load(id)
        const right = count === 0 ? undefined : { count, sum: count * version }
        if (JSON.stringify(row?.view) !== JSON.stringify(right))
          problems.push(
            `in the end, ${name} ${id} of version ${version}: ${JSON.stringify(row?.view)}, not ${JSON.stringify(right)}`,
          )
      }
      const rows = Object.values(expected).filter((count) => count > 0).length
      if ((await view.find()).items.length !== rows) problems.push(`in the end, not all rows of ${name} are found`)
      await app.close()
      if (rebuilds) continue
      const versions = versionsLived(name)
      if (new Set(versions).size < versions.length) problems.push(`${name}: ${versions} were live`)
      const numbers = lived.get(name) ?? []
      if (numbers.some((one, i) => one <= (numbers[i - 1] ?? 0))) problems.push(`${name}: generations ${numbers} were live`)
    }
    if (!rebuilds && new Set(added).size < added.length) problems.push(`added: ${added}`)
  }

  const versions = Array.from({ length: 2 + Math.floor(random() * 3) }, () => pick([1, 1, 2, 2, 3]))
  const setUp = async () => {
    // Mostly something is there already; else all begin with nothing.
    const first = appOn(store, 1, time)
    const events = random() < 0.75 ? 8 : 0
    for (let i = 0; i < events; i++) await write(first)
    if (random() < 0.5) await first.drain()
    await first.close()
  }
  await time.until(setUp(), 60_000)
  await time.until(Promise.all(versions.map(live)), 600_000)
  await time.until(check(), 600_000)
  if (problems.length > 0) throw new Error(`${kind}, seed ${seed}, versions ${versions}:\n${problems.slice(0, 5).join('\n')}`)
}

describe.each(Object.keys(kinds))('processes of several versions that rebuild, write, read and die at random, on %s', (kind) => {
  test('every row is right in the end, and no reader sees a wrong one', async () => {
    const first = Number(process.env.SEED ?? 1)
    const rounds = Number(process.env.ROUNDS ?? kinds[kind]?.rounds)
    const failures: string[] = []
    for (let seed = first; seed < first + rounds; seed++)
      await play(kind, seed).catch((error: Error) => failures.push(`seed ${seed}: ${error.message}`))
    expect(failures.slice(0, 5), `${failures.length} of ${rounds} rounds`).toEqual([])
  })
})
