import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { unselected } from '../../servers/stores.ts'
import { atStrength, patienceMs } from '../../strength.ts'
import { crashStores } from '../servers.ts'
import { openApp, targets, write } from './app.ts'
import { checkOrder, checkRows } from './check.ts'
import { notesIn, readNotes } from './notes.ts'
import { Workers } from './processes.ts'

const stores = crashStores.filter(({ name }) => name === 'Postgres' || name === 'MySQL with mysql2')

const kills = atStrength({ moderate: 1, full: 2 })

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

let workers: Workers
beforeAll(async () => {
  workers = await Workers.build()
})
afterAll(() => workers?.close())

describe.each(stores)('$name that is killed while consumers run', (kind) => {
  test.skipIf(unselected(kind.store))('consumers resume by themselves after the restart and miss nothing', async () => {
    const server = await kind.startServer({ durable: true })
    try {
      const notesFile = join(workers.folder, `${kind.store}-restart`)
      const { store, close } = kind.connect(server.port)
      await store.createSchema()
      const app = openApp(store, { notes: notesIn(notesFile) })
      await app.start()
      let stopping = false
      const load = targets.map(async (target, nth) => {
        for (let n = nth; !stopping; n++) {
          await write(app, target, 1 + (n % 3)).catch(() => sleep(20))
          await sleep(20)
        }
      })
      const goesOn = async () => {
        const seen = readNotes(notesFile).length
        while (readNotes(notesFile).length < seen + 100) await sleep(20)
      }
      await goesOn()
      for (let n = 0; n < kills; n++) {
        await server.kill()
        await sleep(400)
        await server.start()
        await goesOn()
      }
      stopping = true
      await Promise.all(load)
      const followers = [app.subscriptions.writesDown, app.views.behind, app.views.behindShared]
      await Promise.all(followers.map((follower) => follower.caughtUp({ timeoutMs: patienceMs })))
      // A wait that began before the server was there again may still have to end.
      for (const follower of followers)
        for await (const { state, error, lag } of follower.status())
          if ((state === 'idle' || state === 'elsewhere') && error === undefined && lag === 0) break
      checkOrder(readNotes(notesFile), await checkRows(app))
      await app.close()
      await close()
    } finally {
      await server.stop()
    }
  })
})
