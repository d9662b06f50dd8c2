import type { TestDatabase } from 'cqrs-es/conformance'
import { testClock } from 'cqrs-es/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { databases } from '../conformance/hosts.ts'
import { minute, seat, seating } from '../support/seats.ts'

describe.each(databases)('deadlines on $name', ({ skipped, host }) => {
  const opened: TestDatabase[] = []
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((one) => one.close()))
  })
  const created = async () => {
    const database = await host.open({ schema: true })
    opened.push(database)
    return database
  }

  test.skipIf(skipped)('deadlines are set, moved, withdrawn, and sent once by two processes', async () => {
    const { store, connect } = await created()
    const clock = testClock('2030-01-01T00:00:00Z')
    const [one, two] = [seating(store, { clock }), seating(await connect(), { clock })] as const
    const ids = Array.from({ length: 12 }, (_, i) => `s-${i}`)
    await Promise.all(ids.map((id) => one.hold(id, { until: minute(10), remind: minute(5) })))
    await two.hold('s-0', { until: minute(20) })
    await two.hold('s-1', { until: null })
    clock.set(minute(10))
    await Promise.all([one.app.drain(), two.app.drain()])
    await one.app.drain()
    const states = await Promise.all(ids.map((id) => two.load(id)))
    expect(states.map(({ expired }) => expired)).toEqual([0, 0, ...Array.from({ length: 10 }, () => 1)])
    expect(states.map(({ reminded }) => reminded.length)).toEqual(ids.map(() => 1))
    expect((await two.app.deadlines.list()).items).toMatchObject([{ aggregateId: 's-0', at: minute(20) }])
  })

  test.skipIf(skipped)('a rejected deadline is sent once, and a failing one is stuck until resume()', async () => {
    const { store } = await created()
    const { app, clock, hold, load, services } = seating(store)
    services.how = 'refuse'
    await hold('a', { until: minute(1) })
    clock.set(minute(1))
    await app.drain()
    await app.drain()
    expect(services.calls).toHaveLength(1)
    services.how = 'throw'
    await hold('a', { until: minute(2) })
    for (let i = 0; i < 12; i++) {
      clock.advance('6m')
      await app.drain()
    }
    expect((await app.deadlines.list({ only: 'stuck' })).items).toMatchObject([{ aggregateId: 'a', attempts: 10 }])
    services.how = 'accept'
    await app.deadlines.resume()
    await app.drain()
    expect(await load('a')).toMatchObject({ expired: 1 })
    expect(await app.adopt(seat)).toEqual({ written: 0, doubles: [] })
  })
})
