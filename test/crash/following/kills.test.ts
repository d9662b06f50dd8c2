import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unselected } from '../../servers/stores.ts'
import { atStrength } from '../../strength.ts'
import { openApp } from './app.ts'
import { checkOrder, checkRows, untilDrained } from './check.ts'
import { connect } from './connect.ts'
import { notesIn, readNotes } from './notes.ts'
import { Workers } from './processes.ts'
import { sharedStores } from './stores.ts'

/** On each of the three stores. */
const kills = atStrength({ moderate: 6, full: 34 })

let workers: Workers
beforeAll(async () => {
  workers = await Workers.build()
})
afterAll(() => workers?.close())

describe.each(sharedStores)('a consumer process on $name', ({ store: kind, name, fresh }) => {
  test.skipIf(unselected(kind))(`${kills} kills at random moments leave each row right and miss no event`, async () => {
    const url = await fresh()
    const notesFile = join(workers.folder, `${name}-notes`)
    const { store, close } = await connect(url)
    await store.createSchema()
    const writer = await workers.start({ url, does: 'write', pauseMs: 40 })
    for (let n = 0; n < kills; n++) {
      const follower = await workers.start({ url, does: 'follow', notesFile })
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 300))
      expect(follower.child.exitCode).toBe(null)
      await follower.kill()
    }
    await writer.stop()

    const app = openApp(store, { notes: notesIn(notesFile) })
    await app.subscriptions.writesDown.caughtUp()
    expect(await untilDrained(app)).toBe(true)
    const ends = await checkRows(app)
    checkOrder(readNotes(notesFile), ends)
    const events = [...ends.values()].reduce((sum, end) => sum + end, 0)
    const deliveries = readNotes(notesFile).filter(({ what }) => what === 'began').length
    console.log(`${name}: ${kills} kills, ${events} events, ${deliveries} deliveries`)
    expect(events).toBeGreaterThan(kills * 10)
    await app.close()
    await close()
  })
})
