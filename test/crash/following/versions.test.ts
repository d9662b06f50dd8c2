import { join } from 'node:path'
import type { Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unselected } from '../../servers/stores.ts'
import { type FollowingApp, openApp, targets, type ViewName, write } from './app.ts'
import { Board } from './board.ts'
import { checkRows, untilDrained } from './check.ts'
import { connect } from './connect.ts'
import { Workers } from './processes.ts'
import { sharedStores } from './stores.ts'

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

let workers: Workers
beforeAll(async () => {
  workers = await Workers.build()
})
afterAll(() => workers?.close())

describe.each(sharedStores)(
  'old code beside new code with a view of another version on $name',
  ({ store: kind, name, fresh }) => {
    test.skipIf(unselected(kind)).each<ViewName>(['inline', 'behind'])(
      'lets all commands through and the rows of the new code are right (%s)',
      { timeout: 120_000 },
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
        for (let tries = 0; !(await isSwitched()); tries++) {
          if (tries > 1_000) throw new Error('The new code never switched over.')
          await sleep(10)
        }
        await sleep(1_500)
        // A process of the old code that starts only now must not turn the view back.
        const late = await workers.start({ ...task, does: 'write', writer: 3, made: 1 })
        await sleep(1_000)
        expect(await isSwitched()).toBe(true)
        expect(await old.stop()).toEqual([])
        expect(await late.stop()).toEqual([])
        const said = await fresher.stop()
        expect(said.filter((line) => line.startsWith('problem')).slice(0, 3)).toEqual([])
        expect(Number(said.at(-1)?.split(' ')[1])).toBeGreaterThan(20)
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
  },
)

test('a row that old code leaves behind while new code settles after the switch is made anew with all its events', async () => {
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

describe('find of a view that old code writes too', () => {
  /** `find` of new code, with something that happens once, before or after its page is read. */
  async function findWith(
    when: 'before' | 'after',
    happens: (apps: Record<'old' | 'other' | 'fresh', FollowingApp>) => Promise<unknown>,
  ) {
    const inner = memoryStore()
    const options = { views: ['inline'] } as const
    let isDue = false
    const once = async (now: typeof when) => {
      if (!isDue || now !== when) return
      isDue = false
      await happens(apps)
    }
    const store = intercepted(inner, {
      findViews: async (request) => {
        if (request.name !== 'inline') return inner.findViews(request)
        await once('before')
        const page = await inner.findViews(request)
        await once('after')
        return page
      },
    })
    const apps = {
      old: openApp(inner, { ...options, made: 1 }),
      other: openApp(inner, { ...options, made: 2 }),
      fresh: openApp(store, { ...options, made: 2 }),
    }
    await write(apps.old, aPurse, 1)
    await apps.fresh.views.inline.rebuild()
    const counts: number[] = []
    for (let nth = 0; nth < 3; nth++) {
      if (when === 'after') await write(apps.old, aPurse, 1)
      isDue = true
      counts.push(...(await apps.fresh.views.inline.find()).items.map(({ view }) => view.count))
    }
    await Promise.all(Object.values(apps).map((app) => app.close()))
    return counts
  }
  const aPurse = { type: 'purse', id: 'p-0' } as const

  test('has a row that is left behind just before its page is read', async () => {
    expect(await findWith('before', ({ old }) => write(old, aPurse, 1))).toEqual([2, 3, 4])
  })

  test('has a row that another process makes anew just after its page was read', async () => {
    expect(await findWith('after', ({ other }) => other.views.inline.load('p-0'))).toEqual([2, 3, 4])
  })

  test('has a row that another find of its process makes anew just after its page was read', async () => {
    expect(await findWith('after', ({ fresh }) => fresh.views.inline.find())).toEqual([2, 3, 4])
  })
})

/** The store with some of its methods replaced. */
const intercepted = (store: Store, methods: Partial<Store>): Store =>
  new Proxy(store, {
    get(target, key) {
      const value = (methods as Record<PropertyKey, unknown>)[key] ?? Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
