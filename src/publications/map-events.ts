import type { Decoded } from '../evolution/decode.ts'
import { aggregateKey } from '../util/names.ts'
import type { CloudEvent } from './cloud-event.ts'
import type { PublicationDefinition } from './publication-definition.ts'
import { toCloudEvent } from './to-cloud-event.ts'

/** The messages of one stored event, one for each public part; or why it has no public form. */
export type Mapped = { readonly messages: readonly CloudEvent[] } | { readonly error: unknown }

/** Maps events to messages, each event once as long as it is in hand. */
export class Mapping {
  readonly #publication: PublicationDefinition
  readonly #known = new WeakMap<Decoded, Promise<Mapped>>()

  constructor(publication: PublicationDefinition) {
    this.#publication = publication
  }

  of(event: Decoded): Promise<Mapped> {
    const known = this.#known.get(event) ?? this.#map(event)
    this.#known.set(event, known)
    return known
  }

  async #map({ events }: Decoded): Promise<Mapped> {
    const messages: CloudEvent[] = []
    try {
      for (const event of events) {
        const contract = this.#publication.events.get(event.type)
        const message = contract && (await toCloudEvent(this.#publication, contract, event))
        if (message !== undefined) messages.push(message)
      }
      return { messages }
    } catch (error) {
      return { error }
    }
  }
}

/** Returns the messages that may be sent: none of an aggregate after an event without a public form. */
export function sendable(events: readonly { readonly decoded: Decoded; readonly mapped: Mapped }[]): readonly CloudEvent[] {
  const failed = new Set<string>()
  return events.flatMap(({ decoded, mapped }) => {
    const key = aggregateKey(decoded.stored.aggregateType, decoded.stored.aggregateId)
    if ('error' in mapped) failed.add(key)
    return 'error' in mapped || failed.has(key) ? [] : mapped.messages
  })
}
