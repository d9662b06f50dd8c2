import { createApp, deadlines, defineAggregate, noData, type RejectionsOf, reject, type Taken, typed, unique } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { given } from 'cqrs-es/testing'
import { z } from 'zod'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Equal<A, B>) => {}

const common = {
  type: 'seat',
  events: { Held: z.object({ email: z.string(), until: z.date() }), Freed: noData },
  commands: { Hold: z.object({ email: z.string() }), Expire: noData, Remind: typed<{ text: string }>() },
  initialState: () => ({ email: '', until: undefined as string | undefined, tags: [] as readonly string[] }),
} as const
const behavior = {
  handle: { Hold: () => reject('full', { left: 0 }), Expire: () => ({ type: 'Freed' }) as const, Remind: () => {} },
  apply: { Held: <S>(state: S) => state, Freed: <S>(state: S) => state },
}

const seat = defineAggregate({
  ...common,
  unique: { email: (state) => state.email.toLowerCase(), tag: ({ tags }) => tags, none: () => undefined },
  deadlines: {
    Expire: (state) => state.until,
    Remind: ({ until }) => (until === undefined ? null : { at: new Date(until), data: { text: 'soon' } }),
  },
  with: [unique, deadlines],
}).implement(behavior)

const app = createApp({ store: memoryStore(), aggregates: { seat } })
const held = await app.aggregates.seat.execute('1', { type: 'Hold', data: { email: 'a' } })
if (!held.ok) same<'full' | 'taken', typeof held.reason>(true)
if (!held.ok && held.reason === 'taken') same<'email' | 'tag' | 'none', typeof held.details.unique>(true)
if (!held.ok && held.reason === 'full') same<number, typeof held.details.left>(true)
const expired = await app.aggregates.seat.execute('1', { type: 'Expire' })
if (!expired.ok) same<'taken', typeof expired.reason>(true)
same<Taken<'email' | 'tag' | 'none'>, RejectionsOf<typeof seat, 'Remind'>>(true)
given(seat).when({ type: 'Expire' }).thenRejected('taken', { unique: 'email' })
// @ts-expect-error no such rule
given(seat).when({ type: 'Expire' }).thenRejected('taken', { unique: 'phone' })

const { doubles, written } = await app.adopt(seat)
same<number, typeof written>(true)
same<readonly string[], (typeof doubles)[number]['ids']>(true)
const { items } = await app.deadlines.list({ only: 'stuck', limit: 10 })
same<string | undefined, (typeof items)[number]['error']>(true)
// @ts-expect-error no such state
await app.deadlines.list({ only: 'parked' })

// An aggregate without rules is refused for no taken value.
const plain = defineAggregate(common).implement(behavior)
same<never, RejectionsOf<typeof plain, 'Expire'>>(true)
// @ts-expect-error another aggregate
await app.adopt(plain.type)

// @ts-expect-error no such field of the state
defineAggregate({ ...common, unique: { email: (state) => state.emial }, with: [unique] })
// @ts-expect-error a unique value is a text
defineAggregate({ ...common, unique: { email: () => 7 }, with: [unique] })
// @ts-expect-error no such command
defineAggregate({ ...common, deadlines: { Expires: () => undefined }, with: [deadlines] })
// @ts-expect-error the command needs data
defineAggregate({ ...common, deadlines: { Remind: ({ until }) => until }, with: [deadlines] })
// @ts-expect-error the command has no data
defineAggregate({ ...common, deadlines: { Expire: () => ({ at: '2030-01-01', data: {} }) }, with: [deadlines] })
// @ts-expect-error not the code of an option
defineAggregate({ ...common, unique: { email: () => 'a' }, with: [defineAggregate] })
