import type { EventEnvelope, Metadata } from '../event-envelope.ts'
import { DeliveryScope, inScope } from '../execution/delivery-scope.ts'
import { sha256 } from '../util/digest.ts'
import type { SubscriptionDefinition } from './definition.ts'

/** Options for a command that follows from an event. */
export interface ReactionOptions {
  readonly idempotencyKey: string
  readonly metadata: Metadata
}

/** One call of a handler: its `reaction`, and a scope that detects repeated keys. */
export interface ReactionScope {
  readonly scope: DeliveryScope
  readonly reaction: (...args: readonly unknown[]) => ReactionOptions
}

/**
 * Creates `reaction(name?)` for one event, or `reaction(event, name?)` for a batch. Keys come from
 * the event, since a redelivered batch may be cut differently.
 */
export async function reactionsTo(
  { name, storedAs, isBatched }: Pick<SubscriptionDefinition, 'name' | 'storedAs' | 'isBatched'>,
  events: readonly EventEnvelope[],
): Promise<ReactionScope> {
  const scope = new DeliveryScope(name)
  const known = new Map<string, Awaited<ReturnType<typeof baseOf>>>()
  for (const event of events) known.set(event.id, await baseOf(storedAs, event))
  const optionsOf = (eventId: unknown, name: unknown) => {
    const base = known.get(eventId as string)
    if (base === undefined) throw scope.blame('receives batches, so reaction(event, name?) needs an event of the current batch.')
    if (name !== undefined && typeof name !== 'string')
      throw scope.blame(`calls reaction with a name that is not a text, but ${typeof name}.`)
    const { key, metadata } = base
    return inScope({ idempotencyKey: name === undefined ? key : `${key}/${name}`, metadata }, scope)
  }
  const [first] = events
  const reaction = isBatched
    ? (event?: unknown, name?: unknown) => optionsOf((event as Partial<EventEnvelope> | null | undefined)?.id, name)
    : (name?: unknown) => optionsOf(first?.id, name)
  return { scope, reaction }
}

/** Returns the key and the metadata of an unnamed reaction to an event. */
async function baseOf(subscription: string, event: EventEnvelope) {
  const base = `${subscription}/${event.id}`
  const key = base.length > 180 ? await sha256(base) : base
  const { correlationId } = event.metadata
  return { key, metadata: { causationId: event.id, correlationId: correlationId ?? event.id } }
}
