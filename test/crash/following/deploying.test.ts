import type { EventEnvelope } from 'cqrs-es'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { unselected } from '../../servers/stores.ts'
import { atStrength, patienceMs } from '../../strength.ts'
import { collect } from '../../support/async.ts'
import { connect } from './connect.ts'
import { orders, type Release, release } from './deployed.ts'
import { type Worker, Workers } from './processes.ts'
import { sharedStores } from './stores.ts'

/** Both releases run side by side until each has done so much more. */
const commandsBeside = atStrength({ moderate: 20, full: 200 })

let workers: Workers
beforeAll(async () => {
  workers = await Workers.build('deployed.ts')
})
afterAll(() => workers?.close())

describe.each(sharedStores)('a deployment in steps on $name', ({ store: kind, fresh }) => {
  test.skipIf(unselected(kind))('a deployment and its rollback fail no command and deliver every event in order', async () => {
    const url = await fresh()
    const { store, close } = await connect(url)
    await store.createSchema()
    const positionOf = async () => Number((await store.lastPosition()) ?? 0)
    const start = (does: Release) => workers.start({ url, does, pauseMs: 10 })
    const beside = async () => {
      const until = (await positionOf()) + commandsBeside
      await vi.waitUntil(async () => (await positionOf()) >= until, { timeout: patienceMs })
    }
    const processes: Worker[] = []
    let running = await start('first')
    processes.push(running)
    await beside()
    for (const next of ['reads', 'writes', 'reads'] as const) {
      const replacing = await start(next)
      processes.push(replacing)
      await beside()
      // It says how a command has failed.
      await running.stop()
      await beside()
      running = replacing
    }
    await running.stop()

    const { app, total } = release('reads', store, (id) => left.push(id))
    const left: string[] = []
    const { caughtUp } = await app.drain({ budgetMs: patienceMs })
    expect(caughtUp).toBe(true)
    const seen = [...processes.flatMap(({ lines }) => lines), ...left.map((id) => `seen ${id}`)]
      .filter((line) => line.startsWith('seen '))
      .map((line) => line.slice('seen '.length))
    const stored = await collect<EventEnvelope>(app.events())
    expect(new Set(stored.map(({ data }) => Object.keys(data as object)[0]))).toEqual(new Set(['price']))
    const { events } = await store.readFeed({ limit: 10_000 })
    expect(new Set(events.map(({ version }) => version))).toEqual(new Set(['1.0', '2.0']))
    expect([...new Set(seen)].sort()).toEqual(stored.map(({ id }) => id).sort())
    for (const { lines } of processes)
      for (const id of orders) {
        const own = lines.filter((line) => line.startsWith(`seen order/${id}/`)).map((line) => Number(line.split('/')[2]))
        expect([...new Set(own)]).toEqual([...new Set(own)].sort((a, b) => a - b))
      }
    for (const id of orders) {
      const count = stored.filter(({ aggregateId }) => aggregateId === id).length
      expect((await total(id))?.view).toEqual({ total: count, orders: count })
    }
    const [stopped] = await store.readViews([{ name: '~stopped', generation: 1, id: 'subscription/mailer' }])
    expect(stopped?.view ?? null).toBeNull()
    console.log(`${kind}: ${stored.length} events, ${seen.length - new Set(seen).size} of them delivered twice`)
    await app.close()
    await close()
  })
})
