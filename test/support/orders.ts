import {
  createApp,
  defineAggregate,
  defineSubscription,
  defineView,
  type Observation,
  platformRuntime,
  type Runtime,
  type Store,
  typed,
  versions,
} from 'cqrs-es'

/**
 * The order in the running program, and in the deployed one: a newer version of an event, and a new
 * event.
 */
export const older = defineAggregate({
  type: 'order',
  events: { Placed: typed<{ price: number }>() },
  commands: { Place: typed<{ price: number }>() },
  initialState: () => ({}),
}).implement({ handle: { Place: (_, data) => ({ type: 'Placed', data }) }, apply: { Placed: (state) => state } })
export const newer = defineAggregate({
  type: 'order',
  events: {
    Placed: versions('2.0', typed<{ cents: number }>(), { '1.0': (old: { price: number }) => ({ cents: old.price * 100 }) }),
    Paid: typed<{ by: string }>(),
  },
  commands: { Place: typed<{ cents: number }>(), Pay: typed<{ by: string }>() },
  initialState: () => ({}),
}).implement({
  handle: { Place: (_, data) => ({ type: 'Placed', data }), Pay: (_, data) => ({ type: 'Paid', data }) },
  apply: { Placed: (state) => state, Paid: (state) => state },
})
export const place = { type: 'Place', data: { cents: 200 } } as const
export const pay = { type: 'Pay', data: { by: 'card' } } as const
export const placeBefore = { type: 'Place', data: { price: 1 } } as const

interface Options {
  readonly onFailure?: 'stop' | 'retry' | 'park'
  readonly following?: object
  readonly runtime?: Runtime
  readonly handle?: (event: { readonly id: string }) => unknown
  readonly partitions?: number
}

/**
 * A subscription and an async view, of an older or a newer program. `keep` closes it at the end.
 */
export function programOf(
  keep: <T extends { close(): Promise<void> }>(app: T) => T,
  of: typeof older | typeof newer,
  store: Store,
  options: Options = {},
) {
  const { onFailure = 'stop', following = {}, runtime = platformRuntime, handle = () => {}, partitions = 1 } = options
  const seen: string[] = []
  const observed: Observation[] = []
  const mailer = defineSubscription({
    name: 'mailer',
    aggregates: [of as typeof newer],
    onFailure,
    partitions,
    handle: async (event) => {
      await handle(event)
      seen.push(event.id)
    },
  })
  const total = defineView({
    name: 'total',
    aggregates: [of as typeof newer],
    // Without a global order, rows of single aggregates.
    ...(store.capabilities.globalOrder ? { id: () => 'all' } : {}),
    initialView: () => ({ events: 0 }),
    update: {
      Placed: ({ events }: { events: number }) => ({ events: events + 1 }),
      ...(of === newer ? { Paid: ({ events }: { events: number }) => ({ events: events + 1 }) } : {}),
    } as object,
    consistency: 'async',
  })
  const app = createApp({
    store,
    aggregates: { order: of as typeof newer },
    views: { total },
    subscriptions: { mailer },
    following,
    runtime,
    observe: (what) => void observed.push(what),
  })
  keep(app)
  return { app, seen, observed, store }
}
export type Program = ReturnType<typeof programOf>
export const order = ({ app }: Program) => app.aggregates.order

/** Stored rows of stopped consumers and parked events. */
export async function troubles(store: Store) {
  const stopped = await store.readViews(
    ['subscription/mailer', 'view/1/total', 'sql/lines'].map((id) => ({ name: '~stopped', generation: 1, id })),
  )
  const parked = await store.findViews({ name: '~failed', generation: 1, where: [], limit: 10 })
  return [...stopped, ...parked.items].filter((row) => row !== undefined && row.view !== null).length
}
export const viewed = async ({ app, store }: Program, ...ids: readonly string[]) => {
  const wanted = store.capabilities.globalOrder ? ['all'] : ids
  let events = 0
  for (const id of wanted) events += (await app.views.total.load(id))?.view.events ?? 0
  return events
}
export const until = async (isThere: () => boolean | Promise<boolean>, meanwhile: () => Promise<unknown> = async () => {}) => {
  while (!(await isThere())) {
    await meanwhile()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
