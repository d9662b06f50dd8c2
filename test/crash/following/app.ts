import { createApp, defineAggregate, defineSubscription, defineView, type Store, typed } from 'cqrs-es'

/** Its events tell their number, so that a row that misses one or has one twice gives itself away. */
export const purse = defineAggregate({
  type: 'purse',
  events: { Moved: typed<{ nth: number }>() },
  commands: { Move: typed<{ times: number }>() },
  initialState: () => ({ moves: 0 }),
}).implement({
  handle: {
    Move: ({ moves }, { times }) =>
      Array.from({ length: times }, (_, i) => ({ type: 'Moved' as const, data: { nth: moves + i + 1 } })),
  },
  apply: { Moved: (_, { nth }) => ({ moves: nth }) },
})

export const gate = defineAggregate({
  type: 'gate',
  events: { Passed: typed<{ nth: number }>() },
  commands: { Pass: typed<{ times: number }>() },
  initialState: () => ({ passed: 0 }),
}).implement({
  handle: {
    Pass: ({ passed }, { times }) =>
      Array.from({ length: times }, (_, i) => ({ type: 'Passed' as const, data: { nth: passed + i + 1 } })),
  },
  apply: { Passed: (_, { nth }) => ({ passed: nth }) },
})

/** All aggregates that the tests of this folder write. */
export const targets = [
  ...Array.from({ length: 10 }, (_, n) => ({ type: 'purse' as const, id: `p-${n}` })),
  ...Array.from({ length: 5 }, (_, n) => ({ type: 'gate' as const, id: `g-${n}` })),
]

export type Target = (typeof targets)[number]

export const keyOf = ({ type, id }: Target): string => `${type}/${id}`

/** What all views of this folder have, whatever their rows are of. */
export type Row = {
  /** Last digit of the ids of its aggregates, to find it by. */
  readonly digit: number
  readonly count: number
  /** By aggregate, the sequence seen last. */
  readonly seen: Readonly<Record<string, number>>
  /** Events that were not the next ones of their aggregates. */
  readonly jumps: number
  /** Made of all events in their order. */
  readonly trail: number
  /** The version of the view that has made it. */
  readonly made: number
}

interface Seen {
  readonly aggregateType: string
  readonly aggregateId: string
  readonly sequence: number
}

const digitOf = (id: string): number => Number(id.at(-1)) % 5

const emptyRow = (made: number) => (): Row => ({ digit: -1, count: 0, seen: {}, jumps: 0, trail: 0, made })

/** Pure; the same for every view. */
export function nextRow(row: Row, { aggregateType, aggregateId, sequence }: Seen): Row {
  const key = `${aggregateType}/${aggregateId}`
  const isNext = sequence === (row.seen[key] ?? 0) + 1
  const text = `${key}#${sequence}`
  let trail = row.trail
  for (let i = 0; i < text.length; i++) trail = (trail * 31 + text.charCodeAt(i)) % 1_000_000_007
  return {
    digit: digitOf(aggregateId),
    count: row.count + 1,
    seen: { ...row.seen, [key]: sequence },
    jumps: row.jumps + (isNext ? 0 : 1),
    trail,
    made: row.made,
  }
}

const perPurse = (name: string, consistency: 'inline' | 'async', made: number) =>
  defineView({
    name,
    aggregates: [purse],
    initialView: emptyRow(made),
    update: { Moved: nextRow },
    indexes: ['digit'],
    consistency,
    viewVersion: made,
  })

const perDigit = (name: string, consistency: 'inline' | 'async', made: number) =>
  defineView({
    name,
    aggregates: [purse, gate],
    initialView: emptyRow(made),
    id: ({ aggregateId }) => digitRowOf(aggregateId),
    update: { Moved: nextRow, Passed: nextRow },
    indexes: ['digit'],
    consistency,
    viewVersion: made,
  })

export const digitRowOf = (aggregateId: string): string => `digit-${digitOf(aggregateId)}`

/** The four kinds of views that are folded from the log. */
export const viewKinds = {
  inline: (made: number) => perPurse('inline', 'inline', made),
  inlineShared: (made: number) => perDigit('inlineShared', 'inline', made),
  behind: (made: number) => perPurse('behind', 'async', made),
  behindShared: (made: number) => perDigit('behindShared', 'async', made),
}

export type ViewName = keyof typeof viewKinds

export const viewNames = Object.keys(viewKinds) as readonly ViewName[]

export const isShared = (name: ViewName): boolean => name === 'inlineShared' || name === 'behindShared'

export const isInline = (name: ViewName): boolean => name === 'inline' || name === 'inlineShared'

/** What the subscription's handler does at the beginning and the end of an event. */
export interface Notes {
  began(event: Seen): void
  ended(event: Seen): void
}

export interface OpenOptions {
  readonly views?: readonly ViewName[] | undefined
  readonly made?: number | undefined
  readonly notes?: Notes | undefined
  readonly partitions?: number | undefined
  /** How long an event is under way. */
  readonly handleMs?: number | undefined
  readonly leaseMs?: number | undefined
}

export const subscriptionName = 'writes-down'

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

export function openApp(
  store: Store,
  { views = viewNames, made = 1, notes, partitions = 1, handleMs = 0, leaseMs = 300 }: OpenOptions = {},
) {
  const writesDown = defineSubscription({
    name: subscriptionName,
    aggregates: [purse, gate],
    onFailure: 'retry',
    partitions,
    handle: async (event) => {
      notes?.began(event)
      if (handleMs > 0) await sleep(handleMs)
      notes?.ended(event)
    },
  })
  type Kinds = { readonly [K in ViewName]: ReturnType<(typeof viewKinds)[K]> }
  return createApp({
    store,
    aggregates: { purse, gate },
    views: Object.fromEntries(views.map((name) => [name, viewKinds[name](made)])) as unknown as Kinds,
    subscriptions: (notes === undefined ? {} : { writesDown }) as { readonly writesDown: typeof writesDown },
    following: { leaseMs, pollMs: 50 },
    retries: 1_000,
    // What goes wrong while servers are away is tried again; what is asked for here tells by itself.
    observe: () => {},
  })
}

export type FollowingApp = ReturnType<typeof openApp>

/** Runs a command that stores so many events. */
export const write = ({ aggregates }: FollowingApp, { type, id }: Target, times: number) =>
  type === 'purse'
    ? aggregates.purse.execute(id, { type: 'Move', data: { times } })
    : aggregates.gate.execute(id, { type: 'Pass', data: { times } })
