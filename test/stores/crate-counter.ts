import { defineAggregate, noData, typed } from 'cqrs-es'

/** The counter of the Rust fixtures, as a TypeScript program writes it; with a snapshot at every commit. */
export const counter = defineAggregate({
  type: 'counter',
  events: { Added: typed<{ by: number }>(), Counted: typed<number>(), Reset: noData },
  commands: { Add: typed<{ by: number }>(), Reset: noData },
  initialState: () => ({ count: 0, value: 0 }),
  snapshots: 'always',
}).implement({
  handle: {
    Add: (_, { by }) => ({ type: 'Added', data: { by } }),
    Reset: () => ({ type: 'Reset' }),
  },
  apply: {
    Added: ({ count, value }, { by }) => ({ count: count + 1, value: value + by }),
    Counted: ({ count }, value) => ({ count: count + 1, value }),
    Reset: ({ count }) => ({ count: count + 1, value: 0 }),
  },
})
