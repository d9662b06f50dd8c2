import type { Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { testClock } from 'cqrs-es/testing'
import { describe, expect, test } from 'vitest'
import { fulfilling } from '../../support/fulfilment.ts'
import { onSqlite } from '../../support/sqlite.ts'
import { unordered } from '../../support/stores.ts'

const stores = [
  { name: 'memory', open: async (): Promise<Store> => memoryStore() },
  { name: 'SQLite', open: onSqlite },
  { name: 'a store without a global order', open: async () => unordered(memoryStore()) },
]

describe.each(stores)('a process on $name', ({ open }) => {
  test('a process ships a paid order and ends after its last timer', async () => {
    const { app, clock, place, pay, statusOf } = fulfilling(await open())
    await place('o-1', 'tea', 'cup')
    expect(await app.drain()).toEqual({ caughtUp: true, events: 1, nextDue: new Date('2030-01-01T00:15:00Z') })
    expect((await app.processes.fulfilment.load('o-1'))?.state).toMatchObject({ status: 'awaiting payment' })
    await pay('p-1', 'o-1')
    await app.drain()
    expect(await statusOf('o-1')).toBe('confirmed')
    clock.advance('30d')
    expect(await app.drain()).toEqual({ caughtUp: true, events: 0 })
    expect(await app.processes.fulfilment.load('o-1')).toMatchObject({
      status: 'ended',
      outcome: 'shipped',
      startedBy: 'order/o-1/1',
    })
    await app.close()
  })

  test('a process cancels an order and releases its stock when the money is late', async () => {
    const { app, clock, place, pay, statusOf } = fulfilling(await open())
    await place('o-1', 'tea')
    await app.drain()
    clock.advance('14m')
    await app.drain()
    expect(await statusOf('o-1')).toBe('placed')
    clock.advance('1m')
    await app.drain()
    expect(await statusOf('o-1')).toBe('canceled')
    expect((await app.aggregates.stock.load('tea')).state).toEqual({ left: 10, reserved: { 'o-1': 0 } })
    await pay('p-1', 'o-1')
    await app.drain()
    expect((await app.aggregates.payment.load('p-1')).state.status).toBe('returned')
    await app.close()
  })

  test('a process releases what it has reserved when a later line is out of stock', async () => {
    const { app, place, statusOf } = fulfilling(await open())
    await app.aggregates.stock.execute('cup', { type: 'ReserveStock', data: { order: 'other', quantity: 10 } })
    await place('o-1', 'tea', 'cup')
    await app.drain()
    expect(await statusOf('o-1')).toBe('canceled')
    expect((await app.aggregates.stock.load('tea')).state.left).toBe(10)
    const events = []
    for await (const event of app.aggregates.order.events('o-1')) events.push(event)
    expect(events.at(-1)).toMatchObject({
      data: { because: 'out-of-stock: 0 of cup' },
      metadata: { correlationId: 'order/o-1/1', causationId: 'order/o-1/1', process: 'fulfilment/o-1' },
    })
    await app.close()
  })
})

test('a started process fires a timer though no event comes', async () => {
  const { app, clock, place, statusOf } = fulfilling(memoryStore(), testClock('2030-01-01'), { following: { pollMs: 20 } })
  await app.start()
  await place('o-1', 'tea')
  await expect.poll(async () => (await app.processes.fulfilment.load('o-1'))?.state.status).toBe('awaiting payment')
  clock.advance('15m')
  await expect.poll(() => statusOf('o-1')).toBe('canceled')
  await app.close()
})
