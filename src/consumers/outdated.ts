import { StoppedError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { type Decoded, decodeApart } from '../evolution/decode.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import { aggregatePage } from '../execution/read-page.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { ConsumerCore } from './core.ts'
import { placeOfEvent } from './event-place.ts'
import type { Failure } from './processor.ts'

/** Returns why an event could not be decoded, if so. */
export function undecoded(title: string, { stored, failure }: Decoded): Failure | undefined {
  if (failure === undefined) return undefined
  const { error, newer } = failure
  if (newer === undefined) return { error, at: stored, kind: 'unreadable' }
  return { error: new LeftToNewer(title, stored, newer.known, error), at: stored, kind: 'outdated' }
}

/**
 * An event is left to a newer program: nothing has stopped, but this process cannot wait for later
 * events.
 */
export class LeftToNewer extends StoppedError {
  constructor(title: string, { id, type, version }: StoredEvent, known: string | undefined, cause: unknown) {
    const knows = known === undefined ? 'does not know the type' : `knows ${type} ${known}`
    super(
      `${title} leaves event ${id} (${type} ${version}) to a newer program: this one ${knows}. Nothing was stored for the event. Delivery continues once a newer program has processed it.`,
      { eventId: id },
      cause,
    )
    this.name = 'StoppedError'
  }
}

/** Signs that a newer program runs. */
interface Moving {
  position(): Promise<Position>
  /** Returns whether another process holds its lease. */
  isHeld(): Promise<boolean>
}

/**
 * Returns a function to call after each wait. It reports true if nothing moved for `leaseMs` and no
 * process holds the lease: no newer program runs.
 */
export function standstillOf({ leaseMs }: ConsumerCore, moving: Moving): (waitedMs: number) => Promise<boolean> {
  let [last, stillMs] = ['', 0]
  return async (waitedMs) => {
    const position = await moving.position()
    stillMs = position === last ? stillMs + waitedMs : 0
    last = position
    if (stillMs < leaseMs) return false
    stillMs = 0
    return !(await moving.isHeld())
  }
}

/** Returns whether this program can read a stored event; false if there is none. */
export async function canRead(core: ConsumerCore, eventId: string): Promise<boolean> {
  const place = placeOfEvent(eventId)
  const definition: AggregateDefinition | undefined = place && core.definitions.get(place.aggregateType)
  if (place === undefined || definition === undefined) return false
  const { aggregateType, aggregateId, sequence } = place
  const { events } = await aggregatePage(core, { aggregateType, aggregateId, after: sequence - 1, upTo: sequence })
  const decoded = await decodeApart(core, () => definition, events)
  return decoded.length > 0 && decoded.every(({ failure }) => failure === undefined)
}
