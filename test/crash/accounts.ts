import { createApp, defineAggregate, defineView, platformRuntime, type Store, typed } from 'cqrs-es'

/** In the type of an event of each commit: whatever the protocol is, a request with it is one that stores, since none that reads names the types of events. */
export const mark = 'Made'

/** Has inline views, one of which all accounts share, and snapshots. */
export const account = defineAggregate({
  type: 'account',
  events: { MoveMade: typed<{ by: number }>(), MovesCounted: typed<{ moves: number }>() },
  commands: { Move: typed<{ by: number }>(), MoveEach: typed<{ by: readonly number[] }>() },
  initialState: () => ({ balance: 0, moves: 0 }),
  snapshots: { every: 4 },
}).implement({
  handle: {
    Move: (_, { by }) => ({ type: 'MoveMade', data: { by } }),
    MoveEach: ({ moves }, { by }) => [
      ...by.map((each) => ({ type: 'MoveMade' as const, data: { by: each } })),
      { type: 'MovesCounted', data: { moves: moves + by.length } },
    ],
  },
  apply: {
    MoveMade: ({ balance, moves }, { by }) => ({ balance: balance + by, moves: moves + 1 }),
    MovesCounted: (state) => state,
  },
})

/** Has neither views nor snapshots. */
export const counter = defineAggregate({
  type: 'counter',
  events: { CountMade: typed<{ by: number }>() },
  commands: { Count: typed<{ by: number }>() },
  initialState: () => ({ total: 0 }),
}).implement({
  handle: { Count: (_, { by }) => ({ type: 'CountMade', data: { by } }) },
  apply: { CountMade: ({ total }, { by }) => ({ total: total + by }) },
})

export const balances = defineView({
  name: 'balances',
  aggregates: [account],
  initialView: () => ({ balance: 0 }),
  update: { MoveMade: ({ balance }, { data }) => ({ balance: balance + data.by }) },
  indexes: ['balance'],
})

/** Two accounts share a row. */
export const sums = defineView({
  name: 'sums',
  aggregates: [account],
  initialView: () => ({ sum: 0 }),
  id: (event) => sumRowOf(event.aggregateId),
  update: { MoveMade: ({ sum }, { data }) => ({ sum: sum + data.by }) },
})

/** By the last digit of an account's id. */
export const sumRowOf = (accountId: string): string => `sum-${Number(accountId.at(-1)) % 5}`

/** `hurry` divides the waits, so that a test meets more failures in its time. */
export function openBank(store: Store, hurry = 1) {
  return createApp({
    store,
    aggregates: { account, counter },
    views: { balances, sums },
    runtime: { ...platformRuntime, sleep: (ms, signal) => platformRuntime.sleep(ms / hurry, signal) },
  })
}

export type Bank = ReturnType<typeof openBank>
