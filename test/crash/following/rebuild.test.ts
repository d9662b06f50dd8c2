import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { unselected } from '../../servers/stores.ts'
import { atStrength, everySecond, patienceMs } from '../../strength.ts'
import { type FollowingApp, openApp, targets, viewNames, write } from './app.ts'
import { Board } from './board.ts'
import { checkRows, untilDrained } from './check.ts'
import { connect } from './connect.ts'
import { type Worker, Workers } from './processes.ts'
import { sharedStores } from './stores.ts'

/** The rebuilding process is killed so often before one comes to its end. */
const kills = atStrength({ moderate: 1, full: 3 })

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

let workers: Workers
beforeAll(async () => {
  workers = await Workers.build()
})
afterAll(() => workers?.close())

/** By day each store rebuilds two of the four, and neighbours other ones. */
const viewsOf = (name: string) =>
  everySecond(
    viewNames,
    sharedStores.findIndex((one) => one.name === name),
  )

describe.each(sharedStores)('views on $name that are rebuilt under load', ({ store: kind, name, fresh }) => {
  test.skipIf(unselected(kind))('rows stay complete and right while the rebuilding process is killed', async () => {
    const url = await fresh()
    const boardFile = join(workers.folder, `${name}-rebuild-board`)
    const { store, close } = await connect(url)
    await store.createSchema()
    const app = openApp(store)
    await fill(app, boardFile)
    await app.drain()
    const writers = await Promise.all(
      [1, 2].map((writer) => workers.start({ url, does: 'write', boardFile, writer, pauseMs: 150, follows: writer === 1 })),
    )
    for (const view of viewsOf(name)) {
      const reader = await workers.start({ url, does: 'read', boardFile, view })
      let broken = 0
      for (let n = 0; n < kills; n++) {
        const worker = await workers.start({ url, does: 'rebuild', view })
        await sleep(Math.random() * 120)
        await worker.kill()
        if (!worker.lines.includes('rebuilt')) broken++
      }
      const last = await workers.start({ url, does: 'rebuild', view })
      expect(await endOf(last)).toContain('rebuilt')
      // Once more, without a break: its switch happens under the eyes of the reader too.
      expect(await endOf(await workers.start({ url, does: 'rebuild', view }))).toContain('rebuilt')
      await vi.waitUntil(() => reader.lines.includes('enough'), { timeout: patienceMs })
      const said = await reader.stop()
      expect(said.filter((line) => line.startsWith('problem')).slice(0, 3)).toEqual([])
      const [live] = (await store.viewGenerations(view)).filter(({ state }) => state === 'live')
      expect(live?.generation).toBeGreaterThan(2)
      console.log(`${name}, ${view}: ${said.at(-1)}, ${broken} broken off, generation ${live?.generation}`)
    }
    for (const writer of writers) expect(await writer.stop()).toEqual([])
    const again = openApp(store)
    expect(await untilDrained(again)).toBe(true)
    for (const view of viewNames) await again.views[view].caughtUp()
    await checkRows(again)
    await again.close()
    await app.close()
    await close()
  })
})

const endOf = async ({ ended, lines }: Worker) => {
  expect(await ended, lines.join('\n')).toBe(0)
  return lines
}

/** Times that each aggregate is written before. */
const rounds = atStrength({ moderate: 6, full: 20 })

/** Enough of a log that a rebuild takes its time. */
async function fill(app: FollowingApp, boardFile: string): Promise<void> {
  const board = new Board(boardFile)
  await Promise.all(
    targets.map(async (target) => {
      for (let n = 1; n <= rounds; n++) {
        board.put(0, target, 'begun', n * 20)
        await write(app, target, 20)
        board.put(0, target, 'done', n * 20)
      }
    }),
  )
  board.close()
}
