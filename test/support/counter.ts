import { defineAggregate, reject, typed } from 'cqrs-es'

/** Counts by addition, so that a missing or repeated event shows. Never goes below zero. */
export const counter = defineAggregate({
  type: 'counter',
  events: { Counted: typed<{ by: number }>() },
  commands: { Count: typed<{ by: number }>(), CountEach: typed<{ by: readonly number[] }>() },
  initialState: () => ({ total: 0 }),
}).implement({
  handle: {
    Count: ({ total }, { by }) => (total + by < 0 ? reject('too-little', { total }) : { type: 'Counted', data: { by } }),
    CountEach: (_, { by }) => by.map((each) => ({ type: 'Counted' as const, data: { by: each } })),
  },
  apply: { Counted: ({ total }, { by }) => ({ total: total + by }) },
})

export const count = (by: number) => ({ type: 'Count' as const, data: { by } })
export const countEach = (...by: number[]) => ({ type: 'CountEach' as const, data: { by } })
