/**
 * A release of a program, as a process of its own. Its argument is a `Deployed` as JSON; it says `ready`, each event that its
 * subscription handled (`seen <id>`), and the number of its commands; it ends when its standard input does.
 */
import { createApp, defineAggregate, defineSubscription, defineView, type Store, typed, type Upcaster, versions } from 'cqrs-es'
import { connect } from './connect.ts'

/**
 * `first` writes version 1.0. `reads` still writes it, and also reads 2.0; it renames the subscription, divides it into
 * partitions and changes the view. `writes` writes version 2.0.
 */
export type Release = 'first' | 'reads' | 'writes'

export interface Deployed {
  readonly url: string
  readonly does: Release
  readonly pauseMs: number
}

interface Placed {
  readonly price: number
}
interface PlacedInCents {
  readonly cents: number
}

const view = { name: 'totals', consistency: 'inline' } as const
const asBefore: Upcaster = {
  canUpcast: (type, version) => type === 'Placed' && version === '2.0',
  upcast: (event) => ({ ...event, version: '1.0', data: { price: (event.data as PlacedInCents).cents / 100 } }),
}
const placing = (upcasters: readonly Upcaster[]) =>
  defineAggregate({
    type: 'order',
    events: { Placed: typed<Placed>() },
    commands: { Place: typed<Placed>() },
    initialState: () => ({}),
    upcasters: [...upcasters],
  }).implement({ handle: { Place: (_, data) => ({ type: 'Placed', data }) }, apply: { Placed: (state) => state } })
const placingInCents = defineAggregate({
  type: 'order',
  events: {
    Placed: versions('2.0', typed<PlacedInCents>(), { '1.0': ({ price }: Placed) => ({ cents: price * 100 }) }),
  },
  commands: { Place: typed<PlacedInCents>() },
  initialState: () => ({}),
}).implement({ handle: { Place: (_, data) => ({ type: 'Placed', data }) }, apply: { Placed: (state) => state } })

const renamed = { name: 'notifier', storedAs: 'mailer', partitions: 4, concurrency: 4 } as const
const rules = { onFailure: 'stop' as const }
const initialView = () => ({ total: 0, orders: 0 })

/** The app of a release; `place` is a command of one coin. */
export function release(does: Release, store: Store, see: (id: string) => void) {
  const common = { store, following: { leaseMs: 5_000, pollMs: 50 }, maxAttempts: 50, observe: () => {} }
  const handle = ({ id }: { readonly id: string }) => see(id)
  if (does === 'writes') {
    const app = createApp({
      ...common,
      aggregates: { order: placingInCents },
      views: {
        totals: defineView({
          ...view,
          aggregates: [placingInCents],
          viewVersion: 2,
          initialView,
          update: { Placed: ({ total, orders }, { data }) => ({ total: total + data.cents / 100, orders: orders + 1 }) },
        }),
      },
      subscriptions: { mailer: defineSubscription({ ...renamed, ...rules, aggregates: [placingInCents], handle }) },
    })
    const place = (id: string) => app.aggregates.order.execute(id, { type: 'Place', data: { cents: 100 } })
    return { app, place, total: (id: string) => app.views.totals.load(id) }
  }
  const isFirst = does === 'first'
  const order = placing(isFirst ? [] : [asBefore])
  const app = createApp({
    ...common,
    aggregates: { order },
    views: {
      totals: defineView({
        ...view,
        aggregates: [order],
        viewVersion: isFirst ? 1 : 2,
        initialView,
        update: {
          Placed: ({ total, orders }, { data }) => ({ total: total + data.price, orders: isFirst ? 0 : orders + 1 }),
        },
      }),
    },
    subscriptions: {
      mailer: defineSubscription({ ...(isFirst ? { name: 'mailer' } : renamed), ...rules, aggregates: [order], handle }),
    },
  })
  const place = (id: string) => app.aggregates.order.execute(id, { type: 'Place', data: { price: 1 } })
  return { app, place, total: (id: string) => app.views.totals.load(id) }
}

export const orders = ['o-0', 'o-1', 'o-2', 'o-3', 'o-4', 'o-5'] as const

async function main({ url, does, pauseMs }: Deployed): Promise<void> {
  const say = (line: string) => process.stdout.write(`${line}\n`)
  const ending = new AbortController()
  process.stdin.on('end', () => ending.abort())
  process.stdin.resume()
  const { store, close } = await connect(url)
  const { app, place, total } = release(does, store, (id) => say(`seen ${id}`))
  await app.start()
  say('ready')
  let commands = 0
  for (let i = 0; !ending.signal.aborted; i++) {
    const id = orders[i % orders.length] as string
    const before = (await total(id))?.view.total ?? 0
    // A command that fails, or a row that misses it, ends the process with an error.
    await place(id)
    const after = (await total(id))?.view.total ?? 0
    if (after <= before) throw new Error(`The row of ${id} shows ${after} after ${before}.`)
    commands++
    await new Promise((resolve) => setTimeout(resolve, pauseMs * (0.5 + Math.random())))
  }
  await app.close()
  say(`commands ${commands}`)
  await close()
  process.exit(0)
}

const task = process.argv[2]
if (task?.startsWith('{')) await main(JSON.parse(task))
