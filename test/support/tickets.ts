import { createApp, defineAggregate, defineView, type Store, typed, type ViewChange } from 'cqrs-es'
import { withoutStreamWaits } from './runtime.ts'

/** A ticket has an owner and points, or was dropped. */
export const ticket = defineAggregate({
  type: 'ticket',
  events: { Given: typed<{ to: string; points: number }>(), Dropped: typed<{ why: string }>(), Seen: typed<{ by: string }>() },
  commands: { Give: typed<{ to: string; points: number }>(), Drop: typed<{ why: string }>(), See: typed<{ by: string }>() },
  initialState: () => ({ owner: '' }),
}).implement({
  handle: {
    Give: (_, data) => ({ type: 'Given', data }),
    Drop: (_, data) => ({ type: 'Dropped', data }),
    See: (_, data) => ({ type: 'Seen', data }),
  },
  apply: { Given: (_, { to }) => ({ owner: to }), Dropped: () => ({ owner: '' }), Seen: (state) => state },
})

export const give = (to: string, points: number) => ({ type: 'Give' as const, data: { to, points } })
export const drop = { type: 'Drop' as const, data: { why: 'done' } }
export const see = { type: 'See' as const, data: { by: 'ann' } }

/** `tickets`: a row for each. `owners`: rows that several tickets write. */
export const ticketViews = (consistency: 'inline' | 'async', { viewVersion = 1 } = {}) => ({
  tickets: defineView({
    name: 'tickets',
    aggregates: [ticket],
    initialView: () => ({ owner: '', points: 0 }),
    update: { Given: (_, { data }) => ({ owner: data.to, points: data.points }), Dropped: () => null },
    indexes: ['owner', 'points'],
    consistency,
    viewVersion,
  }),
  owners: defineView({
    name: 'owners',
    aggregates: [ticket],
    initialView: () => ({ given: 0, points: 0 }),
    id: (event) => (event.type === 'Given' ? event.data.to : []),
    update: { Given: ({ given, points }, { data }) => ({ given: given + 1, points: points + data.points }) },
    indexes: ['points'],
    consistency,
    viewVersion,
  }),
})

interface Options {
  readonly consistency?: 'inline' | 'async'
  readonly pollMs?: number
  readonly viewVersion?: number
}

export const ticketApp = (store: Store, { consistency = 'inline', pollMs = 20, viewVersion = 1 }: Options = {}) =>
  createApp({
    store,
    aggregates: { ticket },
    views: ticketViews(consistency, { viewVersion }),
    ...withoutStreamWaits,
    following: { ...withoutStreamWaits.following, pollMs },
    maxAttempts: 100,
    observe: () => {},
  })

export type TicketApp = ReturnType<typeof ticketApp>

/** The next reports of an iteration. */
export async function taken<W>(changes: AsyncIterator<ViewChange<W>>, count: number): Promise<ViewChange<W>[]> {
  const all: ViewChange<W>[] = []
  while (all.length < count) {
    const { done, value } = await changes.next()
    if (done === true) break
    all.push(value)
  }
  return all
}

/** A report in short: `a=3`, `-a`, `reload:rebuilt`. */
export const shown = (change: ViewChange<{ readonly points: number }>): string =>
  change.kind === 'changed'
    ? `${change.id}=${change.view.points}`
    : change.kind === 'gone'
      ? `-${change.id}`
      : `reload:${change.because}`
