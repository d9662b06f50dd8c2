import { createApp, deadlines, defineAggregate, defineView, noData } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { given } from 'cqrs-es/testing'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { stores } from '../support/process-stories.ts'
import { formerSeat, minute, seat, seating } from '../support/seats.ts'
import { changed, counting } from '../support/stores.ts'

describe.each(stores)('deadlines on $name', ({ open }) => {
  test('a command is sent when its time has come, not a millisecond before', async () => {
    const { app, clock, hold, load } = seating(await open())
    await hold('a', { until: minute(15), remind: minute(10) })
    expect(await app.drain()).toEqual({ caughtUp: true, events: 0, nextDue: new Date(minute(10)) })
    clock.set(new Date(Date.parse(minute(10)) - 1))
    await app.drain()
    expect(await load('a')).toMatchObject({ reminded: [], expired: 0 })
    clock.advance('1ms')
    expect(await app.drain()).toMatchObject({ caughtUp: true, nextDue: new Date(minute(15)) })
    expect(await load('a')).toMatchObject({ reminded: [`before ${minute(10)}`], expired: 0 })
    clock.set(minute(15))
    expect(await app.drain()).toEqual({ caughtUp: true, events: 0 })
    expect(await load('a')).toMatchObject({ expired: 1, until: null })
    clock.advance('30d')
    await app.drain()
    expect((await app.aggregates.seat.load('a')).sequence).toBe(3)
  })

  test('a deadline follows the state: moved, withdrawn, set again', async () => {
    const { app, clock, hold, load, services } = seating(await open())
    await hold('a', { until: minute(10) })
    await hold('a', { until: minute(20) })
    clock.set(minute(15))
    await app.drain()
    expect(await load('a')).toMatchObject({ expired: 0 })
    await hold('a', { until: null })
    clock.set(minute(25))
    await app.drain()
    expect(services.calls).toEqual([])
    await hold('a', { until: minute(5) }) // in the past: due at once
    await app.drain()
    expect(await load('a')).toMatchObject({ expired: 1 })
    expect(services.calls).toEqual([`deadline/seat/a/Expire/${minute(5)} ${minute(5)}`])
  })

  test.each(['refuse', 'ignore'] as const)(
    'a deadline that the handler %ss is sent once, until its time changes',
    async (how) => {
      const { app, clock, hold, services } = seating(await open())
      services.how = how
      await hold('a', { until: minute(10) })
      clock.set(minute(11))
      await app.drain()
      await app.drain()
      await app.aggregates.seat.execute('a', { type: 'Touch' })
      await hold('a', { remind: minute(12) })
      await app.drain()
      expect(services.calls).toHaveLength(1)
      await hold('a', { until: minute(11) })
      await app.drain()
      expect(services.calls).toHaveLength(2)
    },
  )

  test('eight apps send a deadline once', async () => {
    const store = await open()
    const first = seating(store)
    const all = [first, ...Array.from({ length: 7 }, () => seating(store, { clock: first.clock }))]
    for (let i = 0; i < 20; i++) await first.hold(`s-${i}`, { until: minute(10) })
    first.clock.set(minute(10))
    await Promise.all(all.map(({ app }) => app.drain()))
    await first.app.drain()
    for (let i = 0; i < 20; i++) expect((await first.load(`s-${i}`)).expired).toBe(1)
    expect(await first.app.deadlines.list()).toEqual({ items: [] })
  })

  test('a deadline and the command that withdraws it: one of the two wins', async () => {
    const store = await open()
    const one = seating(store)
    const two = seating(store, { clock: one.clock })
    for (let i = 0; i < 15; i++) await one.hold(`s-${i}`, { until: minute(10) })
    one.clock.set(minute(10))
    await Promise.all([one.app.drain(), ...Array.from({ length: 15 }, (_, i) => two.hold(`s-${i}`, { until: null }))])
    await one.app.drain()
    for (let i = 0; i < 15; i++) {
      const events = []
      for await (const event of two.app.aggregates.seat.events(`s-${i}`)) events.push(event.type)
      expect([
        ['Held', 'Held'],
        ['Held', 'Expired', 'Held'],
      ]).toContainEqual(events)
    }
  })

  test('a deadline that fails is retried after stored waits, then stuck until resume()', async () => {
    const { app, clock, hold, load, services } = seating(await open())
    services.how = 'throw'
    await hold('a', { until: minute(10) })
    await hold('b', { until: minute(11) })
    clock.set(minute(10))
    expect(await app.drain()).toMatchObject({ nextDue: new Date(Date.parse(minute(10)) + 1_000) })
    expect(services.calls).toHaveLength(1)
    const waiting = { aggregateType: 'seat', aggregateId: 'a', command: 'Expire', at: minute(10) }
    expect((await app.deadlines.list()).items).toContainEqual({ ...waiting, attempts: 1, error: 'It is odd.' })
    for (let i = 0; i < 20; i++) {
      clock.advance('5m')
      await app.drain()
    }
    expect(services.calls).toHaveLength(20)
    expect(await app.deadlines.list()).toEqual({ items: [] })
    const stuck = (await app.deadlines.list({ only: 'stuck' })).items
    expect(stuck).toContainEqual({ ...waiting, attempts: 10, error: 'It is odd.' })
    expect(await app.deadlines.health()).toMatchObject({ state: 'idle', stuck: 2 })
    const page = await app.deadlines.list({ only: 'stuck', limit: 1 })
    const rest = await app.deadlines.list({ only: 'stuck', ...(page.next && { after: page.next }) })
    expect([...page.items, ...rest.items]).toEqual(stuck)
    services.how = 'accept'
    await app.deadlines.resume()
    await app.drain()
    expect([(await load('a')).expired, (await load('b')).expired]).toEqual([1, 1])
  })

  test('a stuck deadline is freed by another time', async () => {
    const { app, clock, hold, load, services } = seating(await open())
    services.how = 'throw'
    await hold('a', { until: minute(1) })
    for (let i = 0; i < 12; i++) {
      clock.advance('6m')
      await app.drain()
    }
    expect((await app.deadlines.list({ only: 'stuck' })).items).toHaveLength(1)
    services.how = 'accept'
    await hold('a', { until: minute(2) })
    await app.drain()
    expect(await load('a')).toMatchObject({ expired: 1 })
    expect((await app.deadlines.list({ only: 'stuck' })).items).toEqual([])
  })

  test('many deadlines at once are sent oldest first, within the budget', async () => {
    const { app, clock, hold, services } = seating(await open())
    await Promise.all(Array.from({ length: 120 }, (_, i) => hold(`s-${i}`, { until: minute(10) })))
    clock.set(minute(10))
    let rounds = 0
    for (; !(await app.drain({ budgetMs: 0 })).caughtUp && rounds < 200; rounds++);
    await app.drain()
    expect(services.calls).toHaveLength(120)
    expect(new Set(services.calls).size).toBe(120)
  })

  test('ids of deadlines may be long, and an app without a cache sends them', async () => {
    const store = await open()
    const { app, clock, hold } = seating(store, { options: { cache: false } })
    const id = 's'.repeat(255)
    await hold(id, { until: minute(10) })
    await hold(id, { until: minute(10), remind: minute(3) })
    clock.set(minute(10))
    await seating(store, { clock }).app.drain()
    expect((await app.aggregates.seat.load(id)).state).toMatchObject({ expired: 1, reminded: [`before ${minute(3)}`] })
  })
})

test('a started app sends a deadline without a call of drain', async () => {
  const { app, clock, hold, load } = seating(memoryStore(), { options: { following: { pollMs: 20 } } })
  await app.start()
  await hold('a', { until: minute(10) })
  clock.set(minute(10))
  while ((await load('a')).expired === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  await app.close()
})

test('a deadline whose time cannot be read fails its command', async () => {
  const { app, hold, load } = seating()
  for (const odd of ['tomorrow', 7, '2030-02-30T00:00:00', { data: 1 }])
    expect(await failureOf(hold('a', { odd }))).toMatchObject({
      code: 'APPLY',
      message: expect.stringContaining("deadlines.Expire of seat 'a'"),
    })
  expect(await load('a')).toMatchObject({ odd: null })
  expect(await app.deadlines.list()).toEqual({ items: [] })
})

test('a command that leaves the deadlines as they are reads and writes no row', async () => {
  const calls: string[] = []
  const store = counting(memoryStore(), calls, (name, args) => `${name} ${JSON.stringify(args)}`)
  const { app, hold } = seating(store)
  await hold('a', { until: minute(10) })
  calls.length = 0
  await hold('a', { until: minute(10) })
  await app.aggregates.seat.execute('a', { type: 'Touch' })
  expect(calls.filter((call) => call.includes('~deadline') || call.startsWith('readViews'))).toEqual([])
})

test('a deadline and inline views share the commit, also with commands in flight', async () => {
  const holds = defineView({
    name: 'holds',
    aggregates: [seat],
    initialView: () => ({ count: 0 }),
    update: { Held: ({ count }) => ({ count: count + 1 }), Expired: (view) => view },
    consistency: 'inline',
  })
  const { app, clock, hold } = seating(memoryStore(), { options: { views: { holds } } })
  await Promise.all(Array.from({ length: 30 }, (_, i) => hold('a', { until: minute(i) })))
  expect((await app.deadlines.list()).items).toEqual([
    { aggregateType: 'seat', aggregateId: 'a', command: 'Expire', at: minute(29), attempts: 0 },
  ])
  clock.set(minute(29))
  await app.drain()
  expect((await app.aggregates.seat.load('a')).state.expired).toBe(1)
})

test('an outage of the store ends the run, and no attempt is counted', async () => {
  const memory = memoryStore()
  let isAway = false
  const store = changed(memory, {
    append: async (commits) =>
      isAway ? commits.map(() => ({ kind: 'failed', certain: true, cause: new Error('away') })) : memory.append(commits),
  })
  const { app, clock, hold, load } = seating(store)
  await hold('a', { until: minute(10) })
  clock.set(minute(10))
  isAway = true
  await failureOf(app.drain())
  isAway = false
  expect((await app.deadlines.list()).items).toMatchObject([{ attempts: 0 }])
  await app.drain()
  expect(await load('a')).toMatchObject({ expired: 1 })
})

test('a program leaves the deadlines of aggregates that it does not have', async () => {
  const store = memoryStore()
  const { app, clock, hold, load } = seating(store)
  await hold('a', { until: minute(10) })
  clock.set(minute(10))
  const lamp = defineAggregate({
    type: 'lamp',
    events: { On: noData },
    commands: { Off: noData },
    initialState: () => ({}),
    deadlines: { Off: () => undefined },
    with: [deadlines],
  }).implement({ handle: { Off: () => {} }, apply: { On: (state) => state } })
  const other = createApp({ store, aggregates: { lamp, seat: formerSeat }, runtime: clock })
  expect(await other.drain()).toMatchObject({ caughtUp: true })
  expect(await load('a')).toMatchObject({ expired: 0 })
  await app.drain()
  expect(await load('a')).toMatchObject({ expired: 1 })
})

test('health lists the deadlines of an app, and an app without deadlines has none', async () => {
  const { app } = seating()
  expect((await app.health()).consumers).toMatchObject([{ key: 'deadlines', kind: 'deadlines', state: 'idle', stuck: 0 }])
  const without = createApp({ store: memoryStore(), aggregates: { seat: formerSeat } })
  expect(() => without.deadlines).toThrow('no aggregate of this app has deadlines')
})

test('given evaluates the functions of deadlines', async () => {
  const free = given(seat)
  await free.when({ type: 'Hold', data: { until: minute(1) } }).thenEvents([{ type: 'Held', data: { until: minute(1) } }])
  await free.when({ type: 'Hold', data: { odd: 'soon' } }).thenThrows('deadlines.Expire')
})

test('defineAggregate refuses a deadline for an unknown command', () => {
  const plain = { type: 't', events: { A: noData }, commands: { A: noData }, initialState: () => ({}), with: [deadlines] }
  const implement = (functions: object) =>
    defineAggregate({ ...plain, deadlines: functions }).implement({ handle: { A: () => {} }, apply: { A: (state) => state } })
  expect(() => implement({ B: () => undefined })).toThrow("deadlines has 'B'")
  expect(() => implement({ A: '15m' })).toThrow('deadlines.A')
})
