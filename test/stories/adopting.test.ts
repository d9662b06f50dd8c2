import { createApp, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { formerMember, member } from '../support/members.ts'
import { stores } from '../support/process-stories.ts'
import { formerSeat, minute, seat, seating } from '../support/seats.ts'
import { changed } from '../support/stores.ts'

const former = (store: Store) => createApp({ store, aggregates: { member: formerMember, seat: formerSeat } })
const appOn = (store: Store) => createApp({ store, aggregates: { member } })
const taken = { ok: false, reason: 'taken', details: { unique: 'email' } }
type App = ReturnType<typeof appOn>
const change = (app: App | ReturnType<typeof former>, id: string, data: object) =>
  (app as App).aggregates.member.execute(id, { type: 'Change', data })

describe.each(stores)('app.adopt on $name', ({ open }) => {
  test('adopt claims the values of earlier aggregates, once, and reports doubles', async () => {
    const store = await open()
    const before = former(store)
    await change(before, 'm-1', { email: 'a', tags: ['x'] })
    await change(before, 'm-2', { email: 'A', tags: ['y'] })
    await change(before, 'm-3', { email: 'b' })
    await change(before, 'm-4', { email: ' a ', name: 'ann' })
    const app = appOn(store)
    expect(await change(app, 'm-9', { email: 'b' })).toMatchObject({ ok: true }) // not protected before adopt
    await change(app, 'm-9', { email: null })
    const doubles = [{ unique: 'email', ids: ['m-1', 'm-2', 'm-4'] }]
    const first = await app.adopt(member)
    expect(first.written).toBeGreaterThan(2)
    expect(first.doubles.map(({ unique, ids }) => ({ unique, ids: [...ids].sort() }))).toEqual(doubles)
    expect((await app.adopt(member)).written).toBe(0)
    for (const email of ['a', 'b']) expect(await change(app, 'm-9', { email })).toEqual(taken)
    expect(await change(app, 'm-9', { tags: ['y'] })).toMatchObject({ reason: 'taken' })
  })

  test('a double keeps its value until it changes it, and cannot come back', async () => {
    const store = await open()
    const before = former(store)
    await change(before, 'm-1', { email: 'a' })
    await change(before, 'm-2', { email: 'a' })
    const app = appOn(store)
    const [{ ids } = { ids: [] }] = (await app.adopt(member)).doubles
    const [owner = '', other = ''] = ids
    expect(await app.aggregates.member.execute(other, { type: 'Visit' })).toMatchObject({ ok: true })
    expect(await change(app, other, { email: 'b' })).toMatchObject({ ok: true })
    expect(await change(app, 'm-9', { email: 'a' })).toEqual(taken)
    expect(await change(app, owner, { email: 'c' })).toMatchObject({ ok: true })
    expect(await change(app, other, { email: 'a' })).toMatchObject({ ok: true })
  })

  test('adopt takes a value over from an owner that gave it up without the rule', async () => {
    const store = await open()
    const app = appOn(store)
    await change(app, 'm-1', { email: 'a' })
    await change(former(store), 'm-1', { email: 'b' })
    await change(former(store), 'm-2', { email: 'a' })
    expect(await app.adopt(member)).toEqual({ written: 2, doubles: [] })
    expect(await change(app, 'm-9', { email: 'a' })).toEqual(taken)
    await change(app, 'm-2', { email: null })
    expect(await change(app, 'm-9', { email: 'a' })).toMatchObject({ ok: true })
  })

  test('adopt sets the deadlines of earlier aggregates, and none that was sent', async () => {
    const store = await open()
    await former(store).aggregates.seat.execute('a', { type: 'Hold', data: { until: minute(10), remind: minute(5) } })
    const { app, clock, hold, load, services } = seating(store)
    services.how = 'refuse'
    await hold('b', { until: minute(1) })
    clock.set(minute(2))
    await app.drain()
    expect(services.calls).toHaveLength(1)
    expect(await app.adopt(seat)).toEqual({ written: 1, doubles: [] })
    expect(await app.adopt(seat)).toEqual({ written: 0, doubles: [] })
    services.how = 'accept'
    clock.set(minute(10))
    await app.drain()
    expect(await load('a')).toMatchObject({ expired: 1, reminded: [`before ${minute(5)}`] })
    expect(await load('b')).toMatchObject({ expired: 0 })
  })

  test('adopt and commands at the same time leave each value with its owner', async () => {
    const store = await open()
    const before = former(store)
    const values = Array.from({ length: 12 }, (_, i) => `e-${i}`)
    for (const [i, email] of values.entries()) await change(before, `m-${i}`, { email })
    const apps = [appOn(store), appOn(store)] as const
    const moves = async (app: App, shift: number) => {
      for (let i = 0; i < 24; i++)
        await change(app, `m-${(i * 5 + shift) % 12}`, { email: i % 3 === 0 ? null : `e-${(i * 7 + shift) % 12}` })
    }
    await Promise.all([apps[0].adopt(member), apps[1].adopt(member), moves(apps[0], 0), moves(apps[1], 3)])
    await apps[0].adopt(member)
    const emails = await Promise.all(values.map(async (_, i) => (await apps[0].aggregates.member.load(`m-${i}`)).state.email))
    for (const email of values) {
      const isHeld = emails.includes(email)
      expect([email, (await change(apps[0], 'm-99', { email })).ok]).toEqual([email, !isHeld])
      await change(apps[0], 'm-99', { email: null })
    }
  })
})

test('a command between the reads of adopt and its commit is not overwritten', async () => {
  const memory = memoryStore()
  await change(former(memory), 'm-1', { email: 'a' })
  let isFirst = true
  const store = changed(memory, {
    append: async (commits) => {
      if (isFirst) {
        isFirst = false
        await change(appOn(memory), 'm-1', { email: 'b' })
      }
      return memory.append(commits)
    },
  })
  expect(await appOn(store).adopt(member)).toEqual({ written: 0, doubles: [] })
  const app = appOn(memory)
  expect(await change(app, 'm-2', { email: 'a' })).toMatchObject({ ok: true })
  expect(await change(app, 'm-3', { email: 'b' })).toEqual(taken)
})

test('adopt can be aborted and repeated', async () => {
  const memory = memoryStore()
  for (let i = 0; i < 30; i++) await change(former(memory), `m-${i}`, { email: `e-${i}` })
  const ending = new AbortController()
  let appends = 0
  const store = changed(memory, {
    append: async (commits) => {
      if (++appends === 3) ending.abort(new Error('enough'))
      return memory.append(commits)
    },
  })
  expect(await failureOf(appOn(store).adopt(member, { signal: ending.signal }))).toMatchObject({ message: 'enough' })
  const { written } = await appOn(memory).adopt(member)
  expect(written).toBeGreaterThan(0)
  expect(written).toBeLessThan(30)
  for (let i = 0; i < 30; i++) expect(await change(appOn(memory), 'm-99', { email: `e-${i}` })).toEqual(taken)
})

test('adopt refuses an aggregate without unique values and deadlines', async () => {
  const app = former(memoryStore())
  expect(await failureOf(app.adopt(formerMember))).toMatchObject({
    code: 'DEFINITION',
    message: expect.stringContaining("'member'"),
  })
})
