import {
  createApp,
  defineAggregate,
  defineSubscription,
  defineView,
  type Store,
  type SubscriptionOptions,
  typed,
  type Upcaster,
} from 'cqrs-es'
import { withoutStreamWaits } from './runtime.ts'

/** A customer of the program before the split: one event says where somebody lives now and how to call. */
export const customerBefore = defineAggregate({
  type: 'customer',
  events: { Moved: typed<{ street: string; phone: string }>() },
  commands: { Move: typed<{ street: string; phone: string }>() },
  initialState: () => ({}),
}).implement({ handle: { Move: (_, data) => ({ type: 'Moved', data }) }, apply: { Moved: (state) => state } })

const split: Upcaster = {
  canUpcast: (type) => type === 'Moved',
  upcast: (event) => {
    const { street, phone } = event.data as { street: string; phone: string }
    return [
      { ...event, type: 'AddressChanged', data: { street } },
      { ...event, type: 'PhoneChanged', data: { phone } },
    ]
  },
}

/** The same customer of the program after it: an upcaster makes two events of one. */
export const customer = defineAggregate({
  type: 'customer',
  events: { AddressChanged: typed<{ street: string }>(), PhoneChanged: typed<{ phone: string }>() },
  commands: { ChangeAddress: typed<{ street: string }>() },
  initialState: () => ({ street: '', phone: '' }),
  upcasters: [split],
}).implement({
  handle: { ChangeAddress: (_, data) => ({ type: 'AddressChanged', data }) },
  apply: {
    AddressChanged: (state, { street }) => ({ ...state, street }),
    PhoneChanged: (state, { phone }) => ({ ...state, phone }),
  },
})

export const move = (nth: number) => ({ type: 'Move' as const, data: { street: `street ${nth}`, phone: `phone ${nth}` } })
export const changeAddress = (street: string) => ({ type: 'ChangeAddress' as const, data: { street } })

/** What the program before the split has stored. */
export async function withMoves(store: Store, ...ids: readonly string[]) {
  const app = createApp({ store, aggregates: { customer: customerBefore } })
  for (const [i, id] of ids.entries()) await app.aggregates.customer.execute(id, move(i + 1))
  await app.close()
}

export type Log = SubscriptionOptions<'log', readonly [typeof customer], 'AddressChanged' | 'PhoneChanged'>
export type LogHandler = NonNullable<Log['handle']>

/** The program after the split, with a subscription and an async view. `keep`: closes it in the end. */
export function following(
  keep: <T extends { close(): Promise<void> }>(app: T) => T,
  store: Store,
  options: Partial<Log> | { handle: LogHandler },
) {
  const log = defineSubscription({ name: 'log', aggregates: [customer], ...options } as Log)
  const cards = defineView({
    name: 'cards',
    aggregates: [customer],
    initialView: (): { readonly lines: readonly string[] } => ({ lines: [] }),
    update: {
      AddressChanged: ({ lines }, { data }) => ({ lines: [...lines, data.street] }),
      PhoneChanged: ({ lines }, { data }) => ({ lines: [...lines, data.phone] }),
    },
    consistency: 'async',
  })
  const observe = (what: { readonly kind: string; readonly eventId?: string }) => {
    if (what.kind === 'delivery') blamed.push(what.eventId as string)
  }
  const blamed: string[] = []
  const app = createApp({
    store,
    aggregates: { customer },
    views: { cards },
    subscriptions: { log },
    observe,
    ...withoutStreamWaits,
  })
  return { ...keep(app), blamed }
}

/** Ids of the parts of the events of customer c. */
export const parts = (...nths: readonly number[]) => nths.flatMap((n) => [`customer/c/${n}`, `customer/c/${n}.2`])
