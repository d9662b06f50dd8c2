import { memoryStore } from 'cqrs-es/memory'
import { testClock } from 'cqrs-es/testing'
import { describe, expect, it } from 'vitest'
import { openShelves, shopApp } from './app.ts'
import type { Payments } from './payments.ts'

/** A shop whose clock stands still, and each call of its payment service. */
async function open(payments: Partial<Payments> = {}) {
  const calls: { readonly name: string; readonly key: string }[] = []
  const clock = testClock('2030-01-01T00:00:00Z')
  const app = shopApp(memoryStore(), {
    runtime: clock,
    partner: { name: 'partner', keeps: 'nothing', most: { messages: 100, bytes: 1_000_000 }, send: async () => {} },
    payments: {
      charge: async (request, key) => {
        calls.push({ name: 'charge', key })
        return payments.charge ? payments.charge(request, key) : 'c-1'
      },
      refund: async (reference, key) => {
        calls.push({ name: `refund ${reference}`, key })
        return payments.refund ? payments.refund(reference, key) : 'r-1'
      },
    },
  })
  await openShelves(app)
  const { aggregates, views } = app
  return {
    app,
    calls,
    clock,
    place: (id: string, sku = 'tea', quantity = 1) =>
      aggregates.order.execute(id, { type: 'PlaceOrder', data: { customer: 'ann', lines: [{ sku, quantity }] } }),
    transfer: (reference: string, order: string, amount: number) =>
      aggregates.payment.execute(reference, { type: 'RecordPayment', data: { order, amount } }),
    shown: async (id: string) => (await views.orders.load(id))?.view,
    left: async (sku: string) => (await views.items.load(sku))?.view.left,
  }
}

const broken = () => Promise.reject(new Error('no connection'))

describe('the shop', () => {
  it('the shop ships a charged order', async () => {
    const { app, place, shown, left } = await open()
    await place('o-1', 'tea', 2)
    await app.drain()
    expect(await shown('o-1')).toMatchObject({
      status: 'confirmed',
      total: 1_800,
      reserved: ['tea'],
      money: [{ reference: 'c-1', amount: 1_800, isRefunded: false }],
    })
    expect(await left('tea')).toBe(98)
    await app.close()
  })

  it('the shop charges once, under one key, when the service fails twice', async () => {
    let failures = 2
    const { app, calls, clock, place, shown } = await open({ charge: async () => (failures-- > 0 ? broken() : 'c-1') })
    await place('o-1')
    const { nextDue } = await app.drain()
    expect(nextDue).toEqual(new Date('2030-01-01T00:00:01Z'))
    expect(await shown('o-1')).toMatchObject({ status: 'placed', money: [] })
    for (const wait of ['1s', '2s'] as const) {
      clock.advance(wait)
      await app.drain()
    }
    expect(await shown('o-1')).toMatchObject({ status: 'confirmed', money: [{ reference: 'c-1' }] })
    expect(calls).toHaveLength(3)
    expect(new Set(calls.map(({ key }) => key)).size).toBe(1)
    await app.close()
  })

  it('a charge in flight at the deadline is kept, recorded and sent back', async () => {
    let isBroken = true
    const { app, calls, clock, place, shown, left } = await open({ charge: async () => (isBroken ? broken() : 'c-1') })
    await place('o-1')
    for (const time of ['00:14:58', '00:14:59', '00:15:00'] as const) {
      clock.set(`2030-01-01T${time}Z`)
      await app.drain()
    }
    expect(await app.processes.fulfilment.load('o-1')).toMatchObject({
      state: { status: 'canceled' },
      waitsFor: {
        sends: [
          { what: 'call charge', attempts: 2 },
          { what: "ReleaseStock to stock 'tea'" },
          { what: "CancelOrder to order 'o-1'" },
        ],
      },
    })
    isBroken = false
    clock.advance('1s')
    await app.drain()
    expect(await shown('o-1')).toMatchObject({
      status: 'canceled',
      because: 'not paid within 15 minutes',
      reserved: [],
      money: [{ reference: 'c-1', isRefunded: true }],
    })
    expect(new Set(calls.map(({ key }) => key)).size).toBe(2)
    expect(await left('tea')).toBe(100)
    await app.close()
  })

  it('a charge that failed for good is repeated after the deadline, under its key', async () => {
    let isBroken = true
    const { app, calls, clock, place, shown } = await open({ charge: async () => (isBroken ? broken() : 'c-1') })
    await place('o-1')
    for (const wait of ['0s', '1s', '2s', '4s', '8s', '16s', '32s', '64s', '128s', '256s'] as const) {
      clock.advance(wait)
      await app.drain()
    }
    expect(await app.processes.fulfilment.load('o-1')).toMatchObject({ status: 'stuck', error: { message: 'no connection' } })
    isBroken = false
    clock.set('2030-01-01T00:15:00Z')
    await app.drain()
    expect(await shown('o-1')).toMatchObject({ status: 'canceled', money: [{ reference: 'c-1', isRefunded: true }] })
    expect(calls.map(({ name }) => name)).toEqual([...Array(11).fill('charge'), 'refund c-1'])
    expect(new Set(calls.map(({ key }) => key)).size).toBe(2)
    await app.close()
  })

  it('a declined order is paid by transfer, and a second transfer is sent back', async () => {
    const { app, place, transfer, shown } = await open({ charge: async () => null })
    await place('o-1', 'piano')
    await app.drain()
    expect(await shown('o-1')).toMatchObject({ status: 'placed', money: [] })
    await transfer('t-1', 'o-1', 250_000)
    await transfer('t-2', 'o-1', 250_000)
    await app.drain()
    expect(await shown('o-1')).toMatchObject({
      status: 'confirmed',
      money: [
        { reference: 't-1', isRefunded: false },
        { reference: 't-2', isRefunded: true },
      ],
    })
    await app.close()
  })

  it('two orders of the last item result in one shipment', async () => {
    const { app, place, shown, left } = await open()
    await Promise.all([place('o-1', 'kettle', 2), place('o-2', 'kettle', 2)])
    await app.drain()
    const statuses = [(await shown('o-1'))?.status, (await shown('o-2'))?.status]
    expect(statuses.sort()).toEqual(['canceled', 'confirmed'])
    expect(await left('kettle')).toBe(1)
    await app.close()
  })

  it('an order of an unknown item or with two lines of one item is not placed', async () => {
    const { app, place } = await open()
    expect(await place('o-1', 'elephant')).toMatchObject({ ok: false, reason: 'unknown-item' })
    const lines = [
      { sku: 'tea', quantity: 1 },
      { sku: 'tea', quantity: 1 },
    ]
    await expect(app.aggregates.order.execute('o-1', { type: 'PlaceOrder', data: { customer: 'ann', lines } })).rejects.toThrow(
      'each item has one line',
    )
    await app.close()
  })
})
