import { defineAggregate, typed } from 'cqrs-es'

/** Has two types of events, beside the counter's one. */
export const lamp = defineAggregate({
  type: 'lamp',
  events: { Dimmed: typed<{ level: number }>(), Broken: typed<{ why: string }>() },
  commands: { Dim: typed<{ level: number }>(), Break: typed<{ why: string }>() },
  initialState: () => ({ level: 0 }),
}).implement({
  handle: { Dim: (_, data) => ({ type: 'Dimmed', data }), Break: (_, data) => ({ type: 'Broken', data }) },
  apply: { Dimmed: (_, { level }) => ({ level }), Broken: () => ({ level: 0 }) },
})

export const dim = (level: number) => ({ type: 'Dim', data: { level } }) as const
