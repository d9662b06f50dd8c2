import { createApp, defineAggregate, defineSqlView, defineSubscription, defineView, type Store, typed, versions } from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { given, givenLog } from 'cqrs-es/testing'
import { z } from 'zod'

/** Fixtures that are written with `as const` fit wherever data, or a list of options, is passed in. */

interface Line {
  item: string
  tags: string[]
  at?: { x: number; y: number }[]
}
type Id = string & { readonly brand: 'id' }

export const line = { item: 'tea', tags: ['a', 'b'], at: [{ x: 1, y: 2 }] } as const
const lines = [line, line] as const
const pair = ['a', 1] as const

const order = defineAggregate({
  type: 'order',
  events: {
    Placed: typed<{ lines: Line[]; id: Id; when: Date | null }>(),
    Packed: z.object({ lines: z.array(z.object({ item: z.string(), tags: z.array(z.string()) })) }),
    Paired: typed<[string, number]>(),
    Moved: versions('2.0', typed<{ tags: string[] }>(), { '1.0': () => ({ tags: ['a'] }) as const }),
  },
  commands: {
    Place: typed<{ lines: Line[]; id: Id }>(),
    Pack: z.object({ lines: z.array(z.object({ item: z.string(), tags: z.array(z.string()) })) }),
    Pair: typed<[string, number]>(),
  },
  initialState: (): { lines: Line[]; tags: string[] } => ({ lines: [], tags: [] }),
}).implement({
  handle: {
    Place: (_, { id }, { event, apply }) => {
      const placed = event.Placed({ lines, id, when: null })
      apply({ lines: [], tags: [] }, placed, { type: 'Packed', data: { lines } })
      return [placed, { type: 'Placed', data: { lines, id, when: null } }, { type: 'Packed', data: { lines } }]
    },
    Pack: async () => ({ type: 'Packed', data: { lines } }),
    Pair: () => [{ type: 'Paired', data: pair }] as const,
  },
  apply: {
    Placed: () => ({ lines, tags: ['a'] }) as const,
    Packed: (state) => ({ ...state, lines }),
    Paired: (state) => state,
    Moved: (state, { tags }) => ({ ...state, tags }),
  },
})

const named = { aggregates: [order], eventTypes: ['Placed', 'Packed'], indexes: ['status'] } as const
const view = defineView({
  name: 'orders',
  aggregates: named.aggregates,
  initialView: () => ({ status: '', tags: [] as string[] }),
  id: () => ['a', 'b'] as const,
  update: { Placed: (view) => ({ ...view, tags: line.tags }), Packed: () => ({ status: '', tags: ['x'] }) as const },
  indexes: named.indexes,
})
const subscription = defineSubscription({
  name: 's',
  aggregates: named.aggregates,
  eventTypes: named.eventTypes,
  handle: () => {},
})
defineSqlView({ name: 'q', aggregates: named.aggregates, update: () => {}, reset: () => {} })

declare const store: Store
declare const id: Id
const app = createApp({
  store,
  aggregates: { order },
  views: { view },
  subscriptions: { subscription },
  queries: [() => {}] as const,
} as const)
const { execute } = app.aggregates.order
await execute('o', { type: 'Place', data: { lines, id } })
await execute(
  'o',
  { type: 'Place', data: { lines: [{ item: 'tea', tags: ['a'] }], id } } as const,
  {
    waitFor: ['view'] as const,
    metadata: { tags: ['a'] } as const,
  } as const,
)
await execute('o', { type: 'Pack', data: { lines } } as const)
await execute('o', { type: 'Pair', data: pair })
await app.views.view.find({ status: 'a' } as const, { orderBy: 'status' } as const)
await app.views.view.find({ status: { gte: 'a' } } as const)
await app.catchUp([{ aggregateType: 'order', aggregateId: 'o', sequence: 1 }] as const)
createHandler(app, {
  authorize: 'none',
  expose: { aggregates: { order: { commands: ['Place'] } }, views: ['view'] },
  waitFor: ['view'],
} as const)
await given(order)
  .when({ type: 'Pack', data: { lines } } as const)
  .thenNothing()
givenLog({ metadata: { tags: ['a'] } } as const)

// What is wrong is still wrong.
// @ts-expect-error a number among the tags
await execute('o', { type: 'Pack', data: { lines: [{ item: 'tea', tags: [1] }] } } as const)
// @ts-expect-error a field that is not there
await execute('o', { type: 'Pack', data: { lines: [{ itm: 'tea', tags: [] }] } })
// @ts-expect-error a text that is no id
await execute('o', { type: 'Place', data: { lines, id: 'x' } })
// @ts-expect-error a pair that is none
await execute('o', { type: 'Pair', data: ['a', 1, 2] })
// What is read is as it was declared.
const placed = await execute('o', { type: 'Place', data: { lines, id } })
if (placed.ok) placed.state.lines satisfies Line[]
