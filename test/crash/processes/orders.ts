import { type App, createApp, type EventEnvelope, type Store } from 'cqrs-es'
import { testClock } from 'cqrs-es/testing'
import { aggregates, fulfilment } from '../../support/fulfilment.ts'
import { dyingStore, type Way } from './dying.ts'

const skus = ['tea', 'cup', 'pot', 'can']
const workers = 4

/** The outcome of a run. */
export interface Outcome {
  readonly deaths: number
  readonly problems: readonly string[]
  readonly shipped: number
  readonly canceled: number
}

const randomFrom = (seed: number) => {
  let state = seed
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

type Shop = App<typeof aggregates, Record<never, never>, Record<never, never>, { fulfilment: typeof fulfilment }>

/** Lets some workers, who die all the time, fulfil orders; then looks at what they have stored. */
export async function fulfilOrders(store: Store, seed: number, way: Way = 'together', count = 12): Promise<Outcome> {
  const random = randomFrom(seed)
  const clock = testClock('2030-01-01')
  const quiet = { runtime: clock, observe: () => {} }
  const shop: Shop = createApp({ store, aggregates, processes: { fulfilment }, ...quiet })
  const ids = Array.from({ length: count }, (_, i) => `o-${i}`)
  for (const id of ids) {
    const chosen = skus.filter(() => random() < 0.5)
    const lines = (chosen.length > 0 ? chosen : ['tea']).map((sku) => ({ sku, quantity: 2 }))
    await shop.aggregates.order.execute(id, { type: 'PlaceOrder', data: { lines } })
  }
  let [deaths, isOver] = [0, false]
  const work = async () => {
    while (!isOver) {
      const mortal = dyingStore(store, random, way)
      const app: Shop = createApp({ store: mortal.store, aggregates, processes: { fulfilment }, ...quiet })
      const life = async () => {
        while (!isOver) {
          await app.drain({ budgetMs: 50, reconcile: !store.capabilities.globalOrder }).catch(() => {})
          await new Promise((resolve) => setImmediate(resolve))
        }
        return 'old'
      }
      if ((await Promise.race([life(), mortal.died])) !== 'old') deaths++
    }
  }
  const working = Array.from({ length: workers }, work)
  const due = ids.flatMap((id) => (random() < 0.8 ? [{ id, at: Math.floor(random() * 25), times: random() < 0.2 ? 2 : 1 }] : []))
  for (let minute = 0; minute < 40; minute++) {
    for (const { id, at, times } of due)
      for (let i = 0; at === minute && i < times; i++)
        await shop.aggregates.payment.execute(`p${i}-${id}`, { type: 'RecordPayment', data: { order: id } })
    clock.advance('1m')
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  isOver = true
  await Promise.all(working)
  for (const step of ['1h', '31d', '31d'] as const) {
    clock.advance(step)
    while (!(await shop.drain({ reconcile: true })).caughtUp) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const problems = (await Promise.all(ids.map((id) => problemsOf(shop, id)))).flat()
  const statuses = await Promise.all(ids.map(async (id) => (await shop.aggregates.order.load(id)).state.status))
  await shop.close()
  const countOf = (status: string) => statuses.filter((one) => one === status).length
  return { deaths, problems, shipped: countOf('confirmed'), canceled: countOf('canceled') }
}

async function eventsOf(shop: Shop, type: keyof typeof aggregates, id: string): Promise<readonly EventEnvelope[]> {
  const events: EventEnvelope[] = []
  for await (const event of shop.aggregates[type].events(id)) events.push(event as EventEnvelope)
  return events
}

/** Returns what is wrong with an order. */
async function problemsOf(shop: Shop, id: string): Promise<readonly string[]> {
  const instance = await shop.processes.fulfilment.load(id)
  if (instance?.status !== 'ended') return [`${id} has not ended: ${JSON.stringify(instance)}`]
  const order = await eventsOf(shop, 'order', id)
  const [placed] = order as readonly { readonly data?: { readonly lines: readonly unknown[] } }[]
  const stock = (await Promise.all(skus.map((sku) => eventsOf(shop, 'stock', sku)))).map((events) =>
    events.filter(({ data }) => (data as { readonly order?: string }).order === id),
  )
  const held = stock.map((events) => events.reduce((sum, { type }) => sum + (type === 'StockReserved' ? 1 : -1), 0))
  const payments = (await Promise.all([0, 1].map((i) => eventsOf(shop, 'payment', `p${i}-${id}`)))).filter(
    ({ length }) => length > 0,
  )
  const found = {
    confirmed: order.filter(({ type }) => type === 'OrderConfirmed').length,
    canceled: order.filter(({ type }) => type === 'OrderCanceled').length,
    shipped: (await eventsOf(shop, 'shipment', id)).length,
    held: held.reduce((sum, one) => sum + one, 0),
    kept: payments.filter((events) => !events.some(({ type }) => type === 'PaymentReturned')).length,
    returnedTwice: payments.filter((events) => events.length > 2).length,
    reservedTwice: stock.filter((events) => events.filter(({ type }) => type === 'StockReserved').length > 1).length,
  }
  const wanted =
    instance.outcome === 'shipped'
      ? { confirmed: 1, canceled: 0, shipped: 1, held: placed?.data?.lines.length, kept: 1, returnedTwice: 0, reservedTwice: 0 }
      : { confirmed: 0, canceled: 1, shipped: 0, held: 0, kept: 0, returnedTwice: 0, reservedTwice: 0 }
  return JSON.stringify(found) === JSON.stringify(wanted) ? [] : [`${id} is ${instance.outcome}, but ${JSON.stringify(found)}`]
}
