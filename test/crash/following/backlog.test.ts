import { join } from 'node:path'
import { postgresStore } from 'cqrs-es/postgres'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unselected } from '../../servers/stores.ts'
import { atStrength, everySecond, patienceMs } from '../../strength.ts'
import { openApp, targets, write } from './app.ts'
import { checkOrder, checkRows } from './check.ts'
import { connect } from './connect.ts'
import { notesIn, readNotes } from './notes.ts'
import { Workers } from './processes.ts'
import { sharedStores } from './stores.ts'

const backlog = atStrength({ moderate: 30_000, full: 100_000 })

/** Of the heap, with all garbage collected: some pages of events and the states of all who follow, but by far not the backlog. */
const mostBytes = 40 * 1024 * 1024

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

let workers: Workers
beforeAll(async () => {
  workers = await Workers.build()
})
afterAll(() => workers?.close())

/** The memory is that of the core: by day it is measured on two stores. */
describe.each(everySecond(sharedStores, 0))(`${backlog} events on $name`, ({ store: kind, name, fresh }) => {
  test.skipIf(unselected(kind))('a drain processes a large backlog without holding it in memory', async () => {
    const url = await fresh()
    const { store, close } = await connect(url)
    await store.createSchema()
    const app = openApp(store, { views: ['behind'] })
    const perTarget = Math.ceil(backlog / targets.length)
    await Promise.all(
      targets.map(async (target) => {
        for (let left = perTarget; left > 0; left -= 200) await write(app, target, Math.min(200, left))
      }),
    )
    const worker = await workers.start({ url, does: 'measure', views: ['behind'] }, ['--expose-gc'])
    const said = await worker.stop()
    console.log(`${name}: ${said}`)
    const { caughtUp, events, grown } = JSON.parse(said.join('').replace('measured ', ''))
    expect({ caughtUp, events }).toEqual({ caughtUp: true, events: perTarget * targets.length })
    expect(grown).toBeLessThan(mostBytes)
    const { items } = await app.views.behind.find({})
    expect(items.map(({ view }) => [view.count, view.jumps])).toEqual(items.map(() => [perTarget, 0]))
    expect(items).toHaveLength(10)
    await app.close()
    await close()
  })
})

describe.skipIf(unselected('postgres'))('transactions of Postgres that store events', () => {
  const open = async (name: string) => {
    const url = await (sharedStores[0] as (typeof sharedStores)[number]).fresh()
    const { store, close } = await connect(url)
    await store.createSchema()
    const notesFile = join(workers.folder, name)
    const app = openApp(store, { notes: notesIn(notesFile) })
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    const inside = openApp(postgresStore(client))
    const handled = (key: string) => readNotes(notesFile).filter((note) => note.what === 'began' && note.key === key).length
    const end = async () => {
      checkOrder(readNotes(notesFile), await checkRows(app))
      await app.close()
      await client.end()
      await close()
    }
    return { app, client, inside, handled, end }
  }
  const [own, other] = [{ type: 'gate', id: 'g-0' } as const, { type: 'gate', id: 'g-1' } as const]

  test('aborted transactions leave gaps that no reader waits for', async () => {
    const { app, client, inside, handled, end } = await open('aborted')
    await app.start()
    await write(app, other, 3)
    await client.query('BEGIN')
    await write(inside, own, 5)
    await client.query('ROLLBACK')
    await write(app, other, 3)
    await app.subscriptions.writesDown.caughtUp({ timeoutMs: patienceMs })
    await app.views.behindShared.caughtUp({ timeoutMs: patienceMs })
    expect([handled('gate/g-0'), handled('gate/g-1')]).toEqual([0, 6])
    await end()
  })

  test('open transactions delay later events only until they end and are not missed', async () => {
    const { app, client, inside, handled, end } = await open('slow')
    await app.start()
    await write(app, other, 3)
    await app.subscriptions.writesDown.caughtUp({ timeoutMs: patienceMs })
    await client.query('BEGIN')
    await write(inside, own, 5)
    await write(app, other, 3)
    await sleep(500)
    expect([handled('gate/g-0'), handled('gate/g-1')]).toEqual([0, 3])
    await client.query('COMMIT')
    await app.subscriptions.writesDown.caughtUp({ timeoutMs: patienceMs })
    await app.views.behind.caughtUp({ timeoutMs: patienceMs })
    await app.views.behindShared.caughtUp({ timeoutMs: patienceMs })
    expect([handled('gate/g-0'), handled('gate/g-1')]).toEqual([5, 6])
    await end()
  })
})
