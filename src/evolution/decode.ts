import { CqrsError, DeserializationError, messageOf } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import { deepFreeze } from '../json.ts'
import { refusing } from '../refusing.ts'
import type { StoredEvent } from '../store/commit.ts'
import { envelopeOf } from './envelope.ts'
import type { EventCodec } from './event-codec.ts'
import { issuesText } from './schema.ts'
import { isUnread } from './unread.ts'
import { type StoredForm, type Upcaster, upcast } from './upcaster.ts'

export interface Decoder {
  readonly events: ReadonlyMap<string, EventCodec>
  readonly upcasters: readonly Upcaster[]
}

/**
 * The envelopes of a page of stored events, in order, frozen. A split event gives several with one sequence, a dropped one none.
 * Asynchronous and page-wise so that what is stored can one day be opened (decrypted) here, before the upcasters see it.
 *
 * @throws DeserializationError naming the first event that cannot be read
 */
export async function decodePage(decoder: Decoder, page: readonly StoredEvent[]): Promise<readonly EventEnvelope[]> {
  return page.flatMap((stored) => decodeEvent(decoder, stored))
}

/** The same one after another, as they are asked for: those before an event that cannot be read are given before the error. */
export async function decodeInTurn(decoder: Decoder, page: readonly StoredEvent[]): Promise<Iterable<EventEnvelope>> {
  return inTurn(decoder, page)
}

/** A stored event with what it is now: one envelope, several after a split, none after a drop, or why it cannot be read. */
export interface Decoded {
  readonly stored: StoredEvent
  readonly events: readonly EventEnvelope[]
  readonly failure?: { readonly error: unknown }
}

/** Each event of a page by itself, also behind one that cannot be read. `decoderOf` must know every aggregate type of the page. */
export async function decodeApart(
  decoderOf: (aggregateType: string) => Decoder,
  page: readonly StoredEvent[],
): Promise<readonly Decoded[]> {
  return page.map((stored) => {
    try {
      const decoded = decodeEvent(decoderOf(stored.aggregateType), stored)
      return { stored, events: Array.isArray(decoded) ? decoded : [decoded] }
    } catch (error) {
      return { stored, events: [], failure: { error } }
    }
  })
}

function* inTurn(decoder: Decoder, page: readonly StoredEvent[]): Generator<EventEnvelope, void, undefined> {
  for (const stored of page) {
    const decoded = decodeEvent(decoder, stored)
    if (Array.isArray(decoded)) yield* decoded
    else yield decoded
  }
}

function decodeEvent(decoder: Decoder, stored: StoredEvent): EventEnvelope | EventEnvelope[] {
  if (isUnread(stored)) throw stored.unread
  try {
    if (decoder.upcasters.length === 0) return envelope(decoder, stored, stored, stored.id)
    const forms = upcast(decoder.upcasters, stored, (problem, value) => {
      throw refusing(new DeserializationError(`${nameOf(stored)} cannot be read: ${problem}.`, stored), value)
    })
    return forms.map((form, i) => envelope(decoder, stored, form, forms.length === 1 ? stored.id : `${stored.id}.${i + 1}`))
  } catch (error) {
    if (error instanceof CqrsError) throw error
    throw new DeserializationError(`${nameOf(stored)} cannot be read: ${messageOf(error)}`, stored, error)
  }
}

function envelope(decoder: Decoder, stored: StoredEvent, form: StoredForm, id: string): EventEnvelope {
  const codec = decoder.events.get(form.type)
  if (codec === undefined) {
    const upcasted = form.type === stored.type ? '' : ` (upcast to '${form.type}')`
    throw refusing(
      new DeserializationError(
        `${nameOf(stored)}${upcasted} is of a type this program does not know. Deploy the version that declares it, or add an upcaster.`,
        stored,
      ),
      form,
    )
  }
  const parsed = codec.decode(form.version, form.data)
  if (parsed.issues !== undefined)
    throw refusing(
      new DeserializationError(
        `${nameOf(stored)} cannot be read: ${issuesText(parsed.issues)}.${form.version === codec.version ? hintFor(form) : ''}`,
        stored,
        undefined,
        parsed.issues,
      ),
      [form, parsed.refused],
    )
  const current = { id, type: codec.type, version: codec.version, metadata: deepFreeze(form.metadata) }
  return envelopeOf(current, deepFreeze(parsed.value), stored, stored.position)
}

/** Its schema has changed, and nothing says so. */
const hintFor = ({ version }: StoredForm) =>
  ` Make its schema take it, or declare a newer version: versions('…', schema, { '${version}': … }).`

const nameOf = (stored: StoredEvent) =>
  `Event ${stored.sequence} of ${stored.aggregateType} '${stored.aggregateId}' (${stored.type} ${stored.version})`
