import { createApp, defineAggregate, defineView, platformRuntime, type Store, typed } from 'cqrs-es'

/** Has inline views, one of which all accounts share, and snapshots. */
export const account = defineAggregate({
  type: 'account',
  events: { Moved: typed<{ by: number }>(), Counted: typed<{ moves: number }>() },
  commands: { Move: typed<{ by: number }>(), MoveEach: typed<{ by: readonly number[] }>() },
  initialState: () => ({ balance: 0, moves: 0 }),
  snapshots: { every: 4 },
}).implement({
  handle: {
    Move: (_, { by }) => ({ type: 'Moved', data: { by } }),
    MoveEach: ({ moves }, { by }) => [
      ...by.map((each) => ({ type: 'Moved' as const, data: { by: each } })),
      { type: 'Counted', data: { moves: moves + by.length } },
    ],
  },
  apply: {
    Moved: ({ balance, moves }, { by }) => ({ balance: balance + by, moves: moves + 1 }),
    Counted: (state) => state,
  },
})

/** Has neither views nor snapshots. */
export const counter = defineAggregate({
  type: 'counter',
  events: { Counted: typed<{ by: number }>() },
  commands: { Count: typed<{ by: number }>() },
  initialState: () => ({ total: 0 }),
}).implement({
  handle: { Count: (_, { by }) => ({ type: 'Counted', data: { by } }) },
  apply: { Counted: ({ total }, { by }) => ({ total: total + by }) },
})

export const balances = defineView({
  name: 'balances',
  aggregates: [account],
  initialView: () => ({ balance: 0 }),
  update: { Moved: ({ balance }, { data }) => ({ balance: balance + data.by }) },
  indexes: ['balance'],
})

/** Two accounts share a row. */
export const sums = defineView({
  name: 'sums',
  aggregates: [account],
  initialView: () => ({ sum: 0 }),
  id: (event) => sumRowOf(event.aggregateId),
  update: { Moved: ({ sum }, { data }) => ({ sum: sum + data.by }) },
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
