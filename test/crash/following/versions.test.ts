import { join } from 'node:path'
import type { Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { unselected } from '../../servers/stores.ts'
import { atStrength, everySecond, patienceMs } from '../../strength.ts'
import { type FollowingApp, openApp, targets, type ViewName, write } from './app.ts'
import { Board } from './board.ts'
import { checkRows, untilDrained } from './check.ts'
import { connect } from './connect.ts'
import { Workers } from './processes.ts'
import { sharedStores } from './stores.ts'

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Old code writes beside new code for this time after a switch, and again after it was started anew. */
const besideMs = atStrength({ moderate: 500, full: 1_500 })

let workers: Workers
beforeAll(async () => {
  workers = await Workers.build()
})
afterAll(() => workers?.close())

describe.each(sharedStores)('old and new code with different versions of a view on $name', ({ store: kind, name, fresh }) => {
  const nth = sharedStores.findIndex((one) => one.name === name)
  // By day one of them on each store.
  test.skipIf(unselected(kind)).each(everySecond<ViewName>(['inline', 'behind'], nth))(
    'every command succeeds and the rows of the new code are right (%s)',
    async (view) => {
      const url = await fresh()
      const boardFile = join(workers.folder, `${name}-${view}-board`)
      const { store, close } = await connect(url)
      await store.createSchema()
      const first = openApp(store, { views: [view], made: 1 })
      const board = new Board(boardFile)
      await Promise.all(
        targets.map(async (target) => {
          board.put(0, target, 'begun', 40)
          await write(first, target, 40)
          board.put(0, target, 'done', 40)
        }),
      )
      await first.drain()
      await first.close()

      const task = { url, boardFile, view, views: [view], pauseMs: 30, follows: true } as const
      const old = await workers.start({ ...task, does: 'write', writer: 1, made: 1 })
      await sleep(300)
      // Until the switch it answers with rows made of their events one by one.
      const fresher = await workers.start({ ...task, does: 'write and read', writer: 2, made: 2 })
      const isSwitched = async () =>
        (await store.viewGenerations(view)).some(({ state, viewVersion }) => state === 'live' && viewVersion === '2')
      await vi.waitUntil(isSwitched, { timeout: patienceMs })
      await sleep(besideMs)
      // A process of the old code that starts only now must not turn the view back.
      const late = await workers.start({ ...task, does: 'write', writer: 3, made: 1 })
      await sleep(besideMs)
      expect(await isSwitched()).toBe(true)
      expect(await old.stop()).toEqual([])
      expect(await late.stop()).toEqual([])
      // While old code writes, a find waits for a moment at which it has left nothing behind: on a busy machine those are rare.
      await vi.waitUntil(() => fresher.lines.includes('enough'), { timeout: patienceMs })
      const said = await fresher.stop()
      expect(said.filter((line) => line.startsWith('problem')).slice(0, 3)).toEqual([])
      console.log(`${name}, ${view}: ${said.at(-1)}`)

      const app = openApp(store, { views: [view], made: 2 })
      expect(await untilDrained(app)).toBe(true)
      const ends = await checkRows(app, { views: [view], made: 2 })
      expect(Object.fromEntries(ends)).toEqual(board.read('done'))
      board.close()
      await app.close()
      await close()
    },
  )
})

test('a row that old code writes after the switch is rebuilt from all its events', async () => {
  const inner = memoryStore()
  const purse = { type: 'purse', id: 'p-0' } as const
  const options = { views: ['inline'] } as const
  const old = openApp(inner, { ...options, made: 1 })
  let switched = false
  let settling = false
  const store = intercepted(inner, {
    switchViewGeneration: async (request) => {
      await write(old, purse, 1)
      switched = await inner.switchViewGeneration(request)
      return switched
    },
    append: async (commits) => {
      const fillsRow = commits.some(({ views = [] }) => views.some(({ name }) => name === 'inline'))
      if (switched && !settling && fillsRow) {
        settling = true
        await write(old, purse, 1)
      }
      return inner.append(commits)
    },
  })
  await write(old, purse, 1)
  const fresh = openApp(store, { ...options, made: 2 })
  await fresh.views.inline.rebuild()
  expect(settling).toBe(true)
  expect((await fresh.views.inline.load('p-0'))?.view).toMatchObject({ count: 3, jumps: 0, made: 2 })
  await checkRows(fresh, { views: ['inline'], made: 2 })
  await old.close()
  await fresh.close()
})

describe('find of a view that old code also writes', () => {
  const aPurse = { type: 'purse', id: 'p-0' } as const
  type Apps = Readonly<Record<'old' | 'other' | 'fresh', FollowingApp>>
  const find = ({ views }: FollowingApp) => views.inline.find()

  /** New code, with something that happens once, before the nth call of its store during its next `find`. */
  async function opened(nth: number, happens: (apps: Apps) => Promise<unknown>) {
    const inner = memoryStore()
    let left = Number.POSITIVE_INFINITY
    const soon =
      <A extends unknown[], T>(method: (...of: A) => Promise<T>) =>
      async (...of: A) => {
        if (left-- === 0) await happens(apps)
        return method.apply(inner, of)
      }
    const { append, findViews, readViews, readAggregate, viewGenerations } = inner
    const store = intercepted(inner, {
      append: soon(append),
      findViews: soon(findViews),
      readViews: soon(readViews),
      readAggregate: soon(readAggregate),
      viewGenerations: soon(viewGenerations),
    })
    const options = { views: ['inline'] } as const
    const apps: Apps = {
      old: openApp(inner, { ...options, made: 1 }),
      other: openApp(inner, { ...options, made: 2 }),
      fresh: openApp(store, { ...options, made: 2 }),
    }
    await write(apps.old, aPurse, 1)
    await apps.fresh.views.inline.rebuild()
    const arm = () => {
      left = nth
    }
    return { apps, arm, happened: () => left < 0 }
  }

  const before: Readonly<Record<string, (apps: Apps) => Promise<number>>> = {
    'has written nothing yet': async () => 1,
    'has left a row behind': async ({ old }) => {
      await write(old, aPurse, 1)
      return 2
    },
    'has left a row behind, which a command has made anew': async ({ old, other }) => {
      await write(old, aPurse, 1)
      await write(other, aPurse, 1)
      return 3
    },
    'has left a row behind again': async ({ old, other }) => {
      await write(old, aPurse, 1)
      await find(other)
      await write(old, aPurse, 1)
      return 3
    },
  }
  const happening: Readonly<Record<string, (apps: Apps) => Promise<number>>> = {
    'old code writes': async ({ old }) => {
      await write(old, aPurse, 1)
      return 1
    },
    'old code writes, and another process loads the row': async ({ old, other }) => {
      await write(old, aPurse, 1)
      await other.views.inline.load('p-0')
      return 1
    },
    'another process finds': async ({ other }) => {
      await find(other)
      return 0
    },
    'the same process finds': async ({ fresh }) => {
      await find(fresh)
      return 0
    },
    'another process writes, and old code after it': async ({ old, other }) => {
      await write(other, aPurse, 1)
      await write(old, aPurse, 1)
      return 2
    },
  }

  test.each(Object.keys(before).flatMap((state) => Object.keys(happening).map((meanwhile) => [state, meanwhile] as const)))(
    'a find that %s has all that was stored before it, when %s in its middle',
    async (state, meanwhile) => {
      let calls = 0
      for (let isLast = false; !isLast; calls++) {
        let added = 0
        const { apps, arm, happened } = await opened(calls, async (apps) => {
          added = await (happening[meanwhile] as (typeof happening)[string])(apps)
        })
        const stored = await (before[state] as (typeof before)[string])(apps)
        await find(apps.fresh)
        const again = await (before[state] as (typeof before)[string])(apps)
        arm()
        const counts = (await find(apps.fresh)).items.map(({ view }) => view.count)
        isLast = !happened()
        const least = stored + again - 1
        expect([calls, counts.length, (counts[0] ?? 0) >= least, (counts[0] ?? 0) <= least + added]).toEqual([
          calls,
          1,
          true,
          true,
        ])
        expect([calls, (await find(apps.fresh)).items.map(({ view }) => view.count)]).toEqual([calls, [least + added]])
        await Promise.all(Object.values(apps).map((app) => app.close()))
      }
      expect(calls).toBeGreaterThan(2)
    },
  )
})

/** The store with some of its methods replaced. */
const intercepted = (store: Store, methods: Partial<Store>): Store =>
  new Proxy(store, {
    get(target, key) {
      const value = (methods as Record<PropertyKey, unknown>)[key] ?? Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
