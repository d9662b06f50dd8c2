import { createApp, type Observation, type Runtime, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { type CloudEvent, definePublication, type PublicationOptions, type Target } from 'cqrs-es/messaging'
import { z } from 'zod'
import { counter } from './counter.ts'

const counted = z.object({ by: z.number(), from: z.string() })

type Public = { Counted: typeof counted }

/** The contract of the counter: `Counted` leaves as `test.counted.v1`. */
export const counts = Object.assign(
  (options: Partial<PublicationOptions<string, [typeof counter], Public>> = {}) =>
    definePublication({
      name: 'counts',
      aggregates: [counter],
      source: '/tests',
      from: 'beginning',
      events: {
        Counted: {
          type: 'test.counted.v1',
          data: counted,
          map: (event) => ({ by: event.data.by, from: event.aggregateId }),
        },
      },
      ...options,
    }),
  { data: counted },
)

type Deliver = (messages: readonly CloudEvent[]) => ReturnType<Target['send']> | undefined

/** A target in memory. `deliver` decides before messages are kept. */
export function sink(deliver: Deliver = () => undefined, options: Partial<Target> = {}) {
  const sent: CloudEvent[] = []
  const calls: string[][] = []
  const target: Target = {
    name: 'sink',
    keeps: 'one-per-key',
    most: { messages: 100, bytes: 1_000_000 },
    send: async (messages) => {
      calls.push(messages.map(({ id }) => id))
      const errors = await deliver(messages)
      sent.push(...messages.filter((_, i) => errors?.[i] === undefined))
      return errors
    },
    ...options,
  }
  return { target, sent, calls, ids: () => sent.map(({ id }) => id) }
}

interface Options {
  readonly store?: Store
  readonly publication?: ReturnType<typeof counts>
  readonly observe?: (what: Observation) => void
  readonly runtime?: Runtime
  readonly following?: object
}

/** An app with the counter that publishes to a target. */
export const publishing = (target: Target, options: Options = {}) => {
  const { store = memoryStore(), publication = counts(), observe = () => {}, ...rest } = options
  return createApp({ store, aggregates: { counter }, publications: { counts: publication.to(target) }, observe, ...rest })
}
