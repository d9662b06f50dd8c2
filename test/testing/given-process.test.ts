import { createApp, defineProcess, platformRuntime, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { givenProcess, testClock } from 'cqrs-es/testing'
import { describe, expect, test } from 'vitest'
import { failureOf, thrownBy } from '../support/async.ts'
import { fulfilment, order, payment } from '../support/fulfilment.ts'

const lines = (...skus: readonly string[]) => skus.map((sku) => ({ sku, quantity: 1 }))
const placed = givenProcess(fulfilment, 'o-1').on(order, 'o-1', [{ type: 'OrderPlaced', data: { lines: lines('tea', 'cup') } }])
const paid = (id = 'p-1') => [payment, id, [{ type: 'PaymentReceived', data: { order: 'o-1' } }]] as const
const reserve = (id: string) => ({ to: 'stock', id, type: 'ReserveStock', data: { order: 'o-1', quantity: 1 } }) as const

describe('givenProcess', () => {
  test('givenProcess expects commands, timers and the state after events', async () => {
    await placed.thenSends([reserve('tea'), reserve('cup')])
    await placed.thenTimers({ unpaid: '15m' })
    await placed.accepted('ReserveStock').thenState({ status: 'reserving', lines: lines('tea', 'cup'), reserved: ['tea'] })
  })

  test('givenProcess tests a compensation', () =>
    placed
      .accepted('ReserveStock')
      .refused('ReserveStock', 'out-of-stock', { left: 0 })
      .thenSends([
        { to: 'stock', id: 'tea', type: 'ReleaseStock', data: { order: 'o-1' } },
        { to: 'order', id: 'o-1', type: 'CancelOrder', data: { because: 'out-of-stock: 0 of cup' } },
      ]))

  test('givenProcess fires timers as time passes', async () => {
    const waits = placed.accepted('ReserveStock').accepted('ReserveStock')
    await waits.after('14m').thenTimers({ unpaid: '1m' })
    await waits.after('15m').thenTimers({ closed: '30d' })
    await waits.after('31d').thenEnded('canceled')
  })

  test('givenProcess ignores events of other instances, and reports inputs that do not fit', async () => {
    await placed.on(order, 'o-2', [{ type: 'OrderPlaced', data: { lines: [] } }]).thenSends([reserve('tea'), reserve('cup')])
    expect(await failureOf(placed.accepted('ConfirmOrder').thenSends([]))).toMatchObject({
      message: "The instance 'o-1' of process 'fulfilment' was expected to send ConfirmOrder next, but it sends ReserveStock.",
    })
    expect(await failureOf(placed.thenEnded('shipped'))).toMatchObject({ message: expect.stringContaining('it has not ended') })
    expect(await failureOf(placed.thenStuck('x'))).toMatchObject({ message: expect.stringContaining('but it is not') })
    expect((await failureOf(placed.thenSends([reserve('tea')]))).message).toContain('what it sends differs')
    await placed.failed('ReserveStock', 'The store is odd.').thenStuck('The store is odd.')
    await placed.refused('ReserveStock', 'out-of-stock', { left: 0 }).accepted('CancelOrder').thenSends([])
  })

  test('givenProcess keeps a call in flight, and drops one that failed for good, as instead does', async () => {
    const charging = defineProcess({
      name: 'charging',
      aggregates: [order],
      sends: [order],
      calls: { charge: { input: typed<number>(), output: typed<boolean>() } },
      timers: ['unpaid'],
      initialState: () => ({}),
      from: 'beginning',
    }).implement({
      starts: ['OrderPlaced'],
      on: { OrderPlaced: () => ({ send: [{ call: 'charge', data: 9 }], timers: { unpaid: { in: '15m' } } }) },
      timers: { unpaid: (_, __, { id }) => ({ instead: [{ to: 'order', id, type: 'ConfirmOrder' }] }) },
    })
    const started = givenProcess(charging, 'o-1').on(order, 'o-1', [{ type: 'OrderPlaced', data: { lines: lines('tea') } }])
    const charge = { call: 'charge', data: 9 } as const
    const confirm = { to: 'order', id: 'o-1', type: 'ConfirmOrder' } as const
    await started.after('15m').thenSends([confirm])
    await started.begun('charge').after('15m').thenSends([charge, confirm])
    const failed = started.failed('charge', 'no connection')
    await failed.thenStuck('no connection')
    await failed.after('15m').thenSends([confirm])
    const refused = failed.answered('charge', true).thenSends([])
    expect(await failureOf(refused)).toMatchObject({ message: expect.stringContaining('stuck at charge') })
  })

  test('inAnyOrder finds that a payment before its order is lost', async () => {
    const both = givenProcess(fulfilment, 'o-1')
      .on(...paid())
      .on(order, 'o-1', [{ type: 'OrderPlaced', data: { lines: lines('tea') } }])
      .inAnyOrder()
    expect((await failureOf(both.thenTimers({}))).message).toContain('In the order PaymentReceived, OrderPlaced:')
    await placed
      .on(...paid('p-1'))
      .accepted('ReserveStock')
      .on(...paid('p-2'))
      .on(...paid('p-3'))
      .inAnyOrder()
      .thenTimers({})
  })

  test('givenProcess refuses what is no process', () => {
    expect(thrownBy(() => givenProcess({ name: 'x' }))).toMatchObject({ code: 'DEFINITION' })
    expect(thrownBy(() => givenProcess(fulfilment, ''))).toMatchObject({ code: 'DEFINITION' })
  })
})

describe('testClock', () => {
  test('a test clock moves only when it is moved', async () => {
    const clock = testClock('2030-01-01')
    await clock.sleep(9_999)
    expect(clock.now().toISOString()).toBe('2030-01-01T00:00:00.000Z')
    clock.advance('1.5h')
    expect(clock.now().toISOString()).toBe('2030-01-01T01:30:00.000Z')
    clock.set(new Date('2029-01-01'))
    expect(clock.now().toISOString()).toBe('2029-01-01T00:00:00.000Z')
    expect(thrownBy(() => clock.set('soon'))).toMatchObject({ code: 'DEFINITION' })
  })

  test('a time limit ends when the clock is moved past it, or with its signal', async () => {
    const clock = testClock()
    let isOver = false
    const limit = clock.sleep(30_000).then(() => {
      isOver = true
    })
    clock.advance('29s')
    await platformRuntime.sleep(20)
    expect(isOver).toBe(false)
    clock.advance('1s')
    await limit
    const controller = new AbortController()
    const aborted = clock.sleep(30_000, controller.signal)
    controller.abort(new Error('ended'))
    expect(await failureOf(aborted)).toMatchObject({ message: 'ended' })
  })

  test('an app takes its times from a test clock', async () => {
    const clock = testClock('2030-01-01')
    const app = createApp({ store: memoryStore(), aggregates: { order }, runtime: clock })
    clock.advance('1d')
    const result = await app.aggregates.order.execute('o-1', { type: 'PlaceOrder', data: { lines: [] } })
    expect(result.ok && result.events[0]?.recordedAt).toBe('2030-01-02T00:00:00.000Z')
    await app.close()
  })
})
