import { sha256 } from '../digest.ts'
import type { EventEnvelope, Metadata } from '../event-envelope.ts'

/** Options of a command that follows from an event. */
export type Reaction = (name?: string) => { readonly idempotencyKey: string; readonly metadata: Metadata }

/** How a handler gives commands that follow from the event, so that a second delivery changes nothing. */
export async function reactionTo(subscription: string, event: EventEnvelope): Promise<Reaction> {
  const base = `${subscription}/${event.id}`
  const key = base.length > 180 ? await sha256(base) : base
  const { correlationId } = event.metadata
  const metadata = { causationId: event.id, correlationId: correlationId ?? event.id }
  return (name) => ({ idempotencyKey: name === undefined ? key : `${key}/${name}`, metadata })
}
