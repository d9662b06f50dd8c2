import type { EventEnvelope, Metadata } from '../event-envelope.ts'
import { DeliveryScope, inScope } from '../execution/delivery-scope.ts'
import { sha256 } from '../util/digest.ts'
import type { SubscriptionDefinition } from './definition.ts'

/** Options of a command that follows from an event. */
export interface ReactionOptions {
  readonly idempotencyKey: string
  readonly metadata: Metadata
}

/** One call of a handler: what it gets as `reaction`, and what it must not do twice. */
export interface ReactionScope {
  readonly scope: DeliveryScope
  readonly reaction: (...args: readonly unknown[]) => ReactionOptions
}

/** Makes `reaction(name?)` for one event, or `reaction(event, name?)` for a batch: the next batch may be cut differently. */
export async function reactionsTo(
  { name, storedAs, isBatched }: Pick<SubscriptionDefinition, 'name' | 'storedAs' | 'isBatched'>,
  events: readonly EventEnvelope[],
): Promise<ReactionScope> {
  const scope = new DeliveryScope(name)
  const known = new Map<string, Awaited<ReturnType<typeof baseOf>>>()
  for (const event of events) known.set(event.id, await baseOf(storedAs, event))
  const optionsOf = (eventId: unknown, name: unknown) => {
    const base = known.get(eventId as string)
    if (base === undefined)
      throw scope.blame('gets batches, so reaction(event, name?) needs the event of its batch that the command follows from.')
    if (name !== undefined && typeof name !== 'string')
      throw scope.blame(`calls reaction with a name that is no text, but ${typeof name}.`)
    const { key, metadata } = base
    return inScope({ idempotencyKey: name === undefined ? key : `${key}/${name}`, metadata }, scope)
  }
  const [first] = events
  const reaction = isBatched
    ? (event?: unknown, name?: unknown) => optionsOf((event as Partial<EventEnvelope> | null | undefined)?.id, name)
    : (name?: unknown) => optionsOf(first?.id, name)
  return { scope, reaction }
}

/** The key and the metadata that an unnamed reaction to an event has. */
async function baseOf(subscription: string, event: EventEnvelope) {
  const base = `${subscription}/${event.id}`
  const key = base.length > 180 ? await sha256(base) : base
  const { correlationId } = event.metadata
  return { key, metadata: { causationId: event.id, correlationId: correlationId ?? event.id } }
}
