import { givenProcess } from 'cqrs-es/testing'
import { describe, it } from 'vitest'
import { fulfilment } from './fulfilment.ts'
import { order } from './order.ts'
import { payment } from './payment.ts'

const lines = [
  { sku: 'tea', quantity: 2 },
  { sku: 'cup', quantity: 1 },
]
const total = 3_000

/** The order `o-1` after some inputs. */
const fresh = givenProcess(fulfilment, 'o-1')
const place = (given: typeof fresh) => given.on(order, 'o-1', [{ type: 'OrderPlaced', data: { customer: 'ann', lines, total } }])
const pay = (given: typeof fresh, reference: string, amount = total) =>
  given.on(payment, reference, [{ type: 'PaymentReceived', data: { order: 'o-1', amount } }])

const placed = place(fresh)
const reserved = placed.accepted('ReserveStock').accepted('ReserveStock')
const declined = reserved.answered('charge', { reference: null })
const charged = pay(reserved.answered('charge', { reference: 'c-1' }).accepted('RecordPayment'), 'c-1')
const shipped = charged.accepted('BookShipment').accepted('ConfirmOrder')

const reserve = (sku: string, quantity: number) =>
  ({ to: 'stock', id: sku, type: 'ReserveStock', data: { order: 'o-1', quantity } }) as const
const release = (sku: string) => ({ to: 'stock', id: sku, type: 'ReleaseStock', data: { order: 'o-1' } }) as const
const cancel = (because: string) => ({ to: 'order', id: 'o-1', type: 'CancelOrder', data: { because } }) as const
const refund = (reference: string) => ({ call: 'refund', data: { reference } }) as const
const charge = { call: 'charge', data: { order: 'o-1', amount: total } } as const
const ship = { to: 'shipment', id: 'o-1', type: 'BookShipment', data: { order: 'o-1', items: 3 } } as const
const record = (reference: string) =>
  ({ to: 'payment', id: reference, type: 'RecordPayment', data: { order: 'o-1', amount: total } }) as const

describe('an order that goes well', () => {
  it('a placed order reserves each line and gives the customer 15 minutes', async () => {
    await placed.thenSends([reserve('tea', 2), reserve('cup', 1)])
    await placed.thenTimers({ unpaid: '15m' })
  })

  it('an order whose lines are reserved is charged', async () => {
    await placed.accepted('ReserveStock').thenSends([reserve('cup', 1)])
    await reserved.thenSends([charge])
  })

  it('a charge is recorded, and its payment ships the order', async () => {
    await reserved.answered('charge', { reference: 'c-1' }).thenSends([record('c-1')])
    await charged.thenSends([ship])
    await charged.thenTimers({})
  })

  it('a shipped order is confirmed, and its instance ends after 30 days', async () => {
    await charged.accepted('BookShipment').thenSends([{ to: 'order', id: 'o-1', type: 'ConfirmOrder' }])
    await shipped.thenTimers({ closed: '30d' })
    await shipped.after('30d').thenEnded('shipped')
  })
})

describe('an order that is canceled', () => {
  it('an order releases what it has reserved when a later line is out of stock', async () => {
    const refused = placed.accepted('ReserveStock').refused('ReserveStock', 'out-of-stock', { left: 0 })
    await refused.thenSends([release('tea'), cancel('out-of-stock: 0 of cup')])
    await refused.thenTimers({ closed: '30d' })
  })

  it('an order drops the lines that are not reserved yet when the first is out of stock', async () => {
    await placed.refused('ReserveStock', 'out-of-stock', { left: 1 }).thenSends([cancel('out-of-stock: 1 of tea')])
  })

  it('an order is canceled when it is not paid within 15 minutes', async () => {
    const late = declined.after('15m')
    await declined.after('899s').thenSends([])
    await late.thenSends([release('tea'), release('cup'), cancel('not paid within 15 minutes')])
    await late.thenTimers({ closed: '30d' })
  })

  it('a paid order is refunded and released when the carrier refuses it', async () => {
    await charged
      .refused('BookShipment', 'too-large', { most: 50 })
      .thenSends([release('tea'), release('cup'), cancel('too-large'), refund('c-1')])
  })

  it('a canceled order ends after 30 days', async () => {
    const canceled = declined.after('15m').accepted('ReleaseStock').accepted('ReleaseStock').accepted('CancelOrder')
    await canceled.after('30d').thenEnded('canceled')
  })
})

describe('money at the wrong time', () => {
  const canceled = declined.after('15m').accepted('ReleaseStock').accepted('ReleaseStock').accepted('CancelOrder')

  it('late money is sent back, and the refund is recorded', async () => {
    const late = pay(canceled.after('29d'), 't-1')
    await late.thenSends([refund('t-1')])
    await late
      .answered('refund', { refund: 'r-1' })
      .thenSends([{ to: 'payment', id: 't-1', type: 'RecordRefund', data: { refund: 'r-1' } }])
  })

  it('an instance does not end while a refund is in flight', async () => {
    const late = pay(canceled.after('29d'), 't-1').after('1d')
    await late.thenSends([refund('t-1')])
    await late.thenTimers({ closed: '1d' })
    await late.answered('refund', { refund: 'r-1' }).accepted('RecordRefund').after('1d').thenEnded('canceled')
  })

  it.each([
    ['while lines are reserved', pay(placed, 't-1').accepted('ReserveStock').accepted('ReserveStock'), [ship]],
    ['while the shipment is booked', charged, [ship]],
    ['after the shipment', shipped, []],
  ])('a second payment is sent back %s', async (_, given, before) => {
    await pay(given, 't-2').thenSends([...before, refund('t-2')])
  })

  it('a payment of another amount is sent back, and the order waits on', async () => {
    const wrong = pay(declined, 't-1', total - 1)
    await wrong.thenSends([refund('t-1')])
    await wrong.thenTimers({ unpaid: '15m' })
  })

  it('a transfer pays an order whose card was declined', async () => {
    await pay(declined.after('14m'), 't-1').thenSends([ship])
  })

  it('a charge that was not made yet is dropped when a transfer pays', async () => {
    await pay(reserved, 't-1').thenSends([ship])
  })

  it('money that was charged but not recorded stays when the time is over', async () => {
    const late = reserved.answered('charge', { reference: 'c-1' }).after('15m')
    await late.thenSends([release('tea'), release('cup'), cancel('not paid within 15 minutes'), record('c-1')])
    const done = late.accepted('ReleaseStock').accepted('ReleaseStock').accepted('CancelOrder').accepted('RecordPayment')
    await pay(done, 'c-1').thenSends([refund('c-1')])
  })

  it('a charge in flight stays when the time is over', async () => {
    await reserved
      .begun('charge')
      .after('15m')
      .thenSends([charge, release('tea'), release('cup'), cancel('not paid within 15 minutes')])
  })

  it('a charge that failed for good is repeated after the cancellation', async () => {
    const failed = reserved.failed('charge', 'no connection')
    await failed.thenStuck('no connection')
    await failed.after('15m').thenSends([release('tea'), release('cup'), cancel('not paid within 15 minutes'), charge])
  })

  it('a refund that waits stays when the order is canceled', async () => {
    await pay(placed, 't-1', 1)
      .refused('ReserveStock', 'out-of-stock', { left: 0 })
      .thenSends([cancel('out-of-stock: 0 of tea'), refund('t-1')])
  })

  it('money before its order pays it', async () => {
    const early = pay(fresh, 't-1')
    await early.thenTimers({ closed: '30d' })
    await place(early).thenTimers({})
    await place(early).accepted('ReserveStock').accepted('ReserveStock').thenSends([ship])
  })

  it('money of a wrong amount before its order is sent back', async () => {
    const wrong = place(pay(fresh, 't-1', 1))
    await wrong.thenSends([refund('t-1'), reserve('tea', 2), reserve('cup', 1)])
    await wrong.thenTimers({ unpaid: '15m' })
  })

  it('money whose order never comes is sent back after 30 days', async () => {
    await pay(fresh, 't-1')
      .after('30d')
      .thenSends([refund('t-1')])
  })

  it('order and payment may arrive in any order', async () => {
    const both = pay(place(fresh), 't-1').inAnyOrder()
    await both.thenSends([reserve('tea', 2), reserve('cup', 1)])
    await both.thenTimers({})
    await both.accepted('ReserveStock').accepted('ReserveStock').thenSends([ship])
  })
})

describe('a failing call', () => {
  it('a refund that fails for good leaves the instance stuck for a person', async () => {
    await pay(declined.after('15m').accepted('ReleaseStock').accepted('ReleaseStock').accepted('CancelOrder'), 't-1')
      .failed('refund', 'no connection')
      .thenStuck('no connection')
  })
})
