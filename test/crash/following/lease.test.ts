import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type StoreName, unselected } from '../../servers/stores.ts'
import { atStrength, isFull, patienceMs } from '../../strength.ts'
import { openApp, subscriptionName } from './app.ts'
import { checkAlone, checkOrder, checkRows, untilDrained } from './check.ts'
import { connect } from './connect.ts'
import { notesIn, readNotes } from './notes.ts'
import { type Worker, Workers } from './processes.ts'
import { sharedStores } from './stores.ts'

/** Long enough for a process that has to wait for the processor among others. */
const leaseMs = 3_000

/** Processes that are killed, or frozen, in the middle of their work. */
const victims = atStrength({ moderate: 1, full: 3 })

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Waits until processes have noted what the test is about. */
const noted = (file: string, isEnough: (workOf: ReadonlyMap<number, number>) => boolean) =>
  vi.waitUntil(() => isEnough(workIn(file)), { timeout: patienceMs, interval: 50 })

/** Notes by process. */
function workIn(file: string): ReadonlyMap<number, number> {
  const workOf = new Map<number, number>()
  for (const { pid } of readNotes(file)) workOf.set(pid, (workOf.get(pid) ?? 0) + 1)
  return workOf
}

const total = (workOf: ReadonlyMap<number, number>) => [...workOf.values()].reduce((sum, one) => sum + one, 0)

/** Waits for this many notes more. */
async function goesOn(file: string, notes = 100): Promise<void> {
  const before = total(workIn(file))
  await noted(file, (workOf) => total(workOf) >= before + notes)
}

let workers: Workers
beforeAll(async () => {
  workers = await Workers.build()
})
afterAll(() => workers?.close())

/** By day Postgres with each test, MariaDB and SQLite with every second one. */
const isLeftOut = (store: StoreName, test: 'turns' | 'share' | 'frozen') =>
  unselected(store) || !(isFull || store === 'postgres' || (store === 'mariadb') === (test === 'share'))

describe.each(sharedStores)('processes with one subscription on $name', ({ store: kind, name, fresh }) => {
  test.skipIf(isLeftOut(kind, 'turns'))(
    'two and then three processes take turns without handling an event twice or out of order',
    async () => {
      const url = await fresh()
      const notesFile = join(workers.folder, `${name}-turns`)
      const { store, close } = await connect(url)
      await store.createSchema()
      const writer = await workers.start({ url, does: 'write', pauseMs: 60 })
      const task = { url, does: 'drain', notesFile, handleMs: 1, leaseMs } as const
      const rivals = await Promise.all([workers.start(task), workers.start(task)])
      const killed = new Set<number>()
      await goesOn(notesFile)
      rivals.push(await workers.start(task))
      for (let n = 0; n < victims; n++) {
        await goesOn(notesFile)
        const victim = rivals.shift() as Worker
        killed.add(victim.pid)
        await victim.kill()
        rivals.push(await workers.start(task))
      }
      await noted(notesFile, ({ size }) => size > 2)
      await writer.stop()
      await Promise.all(rivals.map((rival) => rival.stop()))

      const app = openApp(store, { notes: notesIn(notesFile) })
      expect(await untilDrained(app)).toBe(true)
      const notes = readNotes(notesFile)
      checkOrder(notes, await checkRows(app))
      checkAlone(notes, killed)
      await app.close()
      await close()
    },
  )

  test.skipIf(isLeftOut(kind, 'share'))(
    'three processes share four partitions, a fourth one gets a share, and each aggregate is in one and in order',
    async () => {
      const url = await fresh()
      const notesFile = join(workers.folder, `${name}-partitions`)
      const { store, close } = await connect(url)
      await store.createSchema()
      const writer = await workers.start({ url, does: 'write', pauseMs: 100 })
      const task = { url, does: 'follow', notesFile, partitions: 4, leaseMs, views: ['behind'] } as const
      const sharers: Worker[] = []
      const share = (workOf: ReadonlyMap<number, number>) => sharers.filter(({ pid }) => (workOf.get(pid) ?? 0) > 20).length
      for (const processes of [1, 2, 3, 4]) {
        sharers.push(await workers.start(task))
        await noted(notesFile, (workOf) => share(workOf) === processes)
      }
      const victim = sharers.shift() as Worker
      await victim.kill()
      sharers.push(await workers.start(task))
      await noted(notesFile, (workOf) => share(workOf) === 4)
      await writer.stop()
      await Promise.all(sharers.map((sharer) => sharer.stop()))

      const app = openApp(store, { notes: notesIn(notesFile), partitions: 4 })
      expect(await untilDrained(app)).toBe(true)
      const notes = readNotes(notesFile)
      checkOrder(notes, await checkRows(app))
      checkAlone(notes, new Set([victim.pid]))
      console.log(`${name}: notes by process with partitions: ${[...workIn(notesFile).values()]}`)
      await app.close()
      await close()
    },
  )

  test.skipIf(isLeftOut(kind, 'frozen'))(
    'a process that was frozen past its lease handles nothing more and damages nothing',
    async () => {
      const url = await fresh()
      const notesFile = join(workers.folder, `${name}-frozen`)
      const { store, close } = await connect(url)
      await store.createSchema()
      const writer = await workers.start({ url, does: 'write', pauseMs: 30 })
      const task = { url, does: 'follow', notesFile, handleMs: 3, leaseMs } as const
      const pair = await Promise.all([workers.start(task), workers.start(task)])

      const checkpoints: bigint[] = []
      let watching = true
      const watched = (async () => {
        while (watching) {
          checkpoints.push(BigInt((await store.readCheckpoint(`subscription/${subscriptionName}`))?.position ?? 0))
          await sleep(10)
        }
      })()
      const holder = async (patienceMs = Number.POSITIVE_INFINITY): Promise<number | undefined> => {
        const seen = readNotes(notesFile).length
        for (let waited = 0; waited < patienceMs; waited += 10) {
          await sleep(10)
          const news = readNotes(notesFile).slice(seen)
          if (news.length > 20) return news.at(-1)?.pid as number
        }
        return undefined
      }
      /** Where the holder is frozen in the middle of a transaction, the database lets nobody go on: then it is frozen at another moment. */
      const freeze = async () => {
        for (;;) {
          const frozen = (await holder()) as number
          const frozenAt = process.hrtime.bigint()
          process.kill(frozen, 'SIGSTOP')
          const other = await holder(10_000)
          if (other !== undefined) return { frozen, frozenAt, other }
          process.kill(frozen, 'SIGCONT')
        }
      }
      await sleep(200)
      for (let n = 0; n < victims; n++) {
        for (const seen = checkpoints.at(-1); checkpoints.at(-1) === seen; ) await sleep(10)
        const { frozen, frozenAt, other } = await freeze()
        expect(other).not.toBe(frozen)
        const wokenAt = process.hrtime.bigint()
        process.kill(frozen, 'SIGCONT')
        await sleep(400)
        const ofFrozen = readNotes(notesFile).filter(({ pid, what, at }) => pid === frozen && what === 'began' && at > wokenAt)
        const since = readNotes(notesFile).filter(({ pid, at }) => pid === other && at > frozenAt)
        // It may have got the lease again, but then for what comes after the other's work.
        const first = ofFrozen[0]
        if (first !== undefined) {
          const others = since.filter(({ what, at }) => what === 'began' && at < first.at)
          const behind = since.filter(({ at }) => at > first.at)
          expect(behind, 'the other still had the lease').toEqual([])
          expect(others.length).toBeGreaterThan(0)
        }
      }
      await writer.stop()
      watching = false
      await watched
      await Promise.all(pair.map((one) => one.stop()))
      expect(checkpoints).toEqual([...checkpoints].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)))
      expect(new Set(checkpoints).size).toBeGreaterThan(2)

      const app = openApp(store, { notes: notesIn(notesFile) })
      expect(await untilDrained(app)).toBe(true)
      checkOrder(readNotes(notesFile), await checkRows(app))
      await app.close()
      await close()
    },
  )
})
