import { createApp, deadlines, defineAggregate, noData, reject, type Store, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { type TestClock, testClock } from 'cqrs-es/testing'

interface State {
  readonly until: string | null
  readonly remind: string | null
  readonly expired: number
  readonly reminded: readonly string[]
  readonly odd: unknown
}

const initialState = (): State => ({ until: null, remind: null, expired: 0, reminded: [], odd: null })

/** Is held until a time, and reminds before it. `Expire` may be refused, ignored or fail. */
export const seat = defineAggregate({
  type: 'seat',
  events: { Held: typed<Partial<State>>(), Expired: noData, Reminded: typed<{ text: string }>() },
  commands: { Hold: typed<Partial<State>>(), Expire: noData, Remind: typed<{ text: string }>(), Touch: noData },
  services: typed<{ expire(): 'accept' | 'refuse' | 'ignore' | 'throw'; calls: string[] }>(),
  initialState,
  deadlines: {
    Expire: (state) => (state.odd ?? state.until) as string | null,
    Remind: ({ remind }) => (remind === null ? undefined : { at: new Date(remind), data: { text: `before ${remind}` } }),
  },
  with: [deadlines],
}).implement({
  handle: {
    Hold: (_, data) => ({ type: 'Held', data }),
    Touch: () => ({ type: 'Held', data: {} }),
    Expire: (_, __, { services, commandId, metadata }) => {
      services.calls.push(`${commandId} ${metadata.deadline}`)
      const how = services.expire()
      if (how === 'throw') throw new Error('It is odd.')
      if (how === 'refuse') return reject('refused')
      return how === 'ignore' ? undefined : { type: 'Expired' }
    },
    Remind: (_, data) => ({ type: 'Reminded', data }),
  },
  apply: {
    Held: (state, data) => ({ ...state, ...data }),
    Expired: (state) => ({ ...state, until: null, expired: state.expired + 1 }),
    Reminded: (state, { text }) => ({ ...state, remind: null, reminded: [...state.reminded, text] }),
  },
})

/** The same type before it had deadlines. */
export const formerSeat = defineAggregate({
  type: 'seat',
  events: { Held: typed<Partial<State>>(), Expired: noData, Reminded: typed<{ text: string }>() },
  commands: { Hold: typed<Partial<State>>() },
  initialState,
}).implement({
  handle: { Hold: (_, data) => ({ type: 'Held', data }) },
  apply: { Held: (state, data) => ({ ...state, ...data }), Expired: (state) => state, Reminded: (state) => state },
})

/** Time after the start of the clock. */
export const minute = (minutes: number): string => new Date(Date.UTC(2030, 0, 1, 0, minutes)).toISOString()

interface Setting {
  readonly clock?: TestClock
  readonly options?: object
}

/** An app with seats, and a clock that a test moves. */
export function seating(store: Store = memoryStore(), { clock = testClock('2030-01-01T00:00:00Z'), options = {} }: Setting = {}) {
  const services = {
    how: 'accept' as 'accept' | 'refuse' | 'ignore' | 'throw',
    calls: [] as string[],
    expire: () => services.how,
  }
  const app = createApp({
    store,
    aggregates: { seat },
    services: { seat: services },
    runtime: clock,
    observe: () => {},
    ...options,
  })
  const hold = (id: string, data: Partial<State>) => app.aggregates.seat.execute(id, { type: 'Hold', data })
  const load = async (id: string) => (await app.aggregates.seat.load(id)).state
  return { app, clock, store, services, hold, load }
}
