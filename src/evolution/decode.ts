import { DeserializationError, type Issue, isCqrsError, messageOf } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import type { Runtime } from '../runtime.ts'
import type { StoredEvent } from '../store/commit.ts'
import { issuesText } from '../util/issues.ts'
import { deepFreeze } from '../util/json.ts'
import { refusing } from '../util/refusing.ts'
import { envelopeOf } from './envelope.ts'
import type { EventCodec } from './event-codec.ts'
import { compareVersions, parseVersion } from './semantic-version.ts'
import { isUnread } from './unread.ts'
import { EvolutionError, type Upcasted, type Upcaster, upcast } from './upcaster.ts'

export interface Decoder {
  readonly events: ReadonlyMap<string, EventCodec>
  readonly upcasters: readonly Upcaster[]
}

/**
 * Time for which an event of an unknown type counts as newer than this program, not as unreadable.
 */
const newForMs = 3_600_000

/**
 * Decodes a page of stored events, in order, frozen.
 *
 * A split event yields several envelopes with one sequence, a dropped event none. Asynchronous, and
 * by pages, so that stored data can one day be decrypted here, before the upcasters run.
 *
 * @throws DeserializationError for the first event that cannot be read
 */
export async function decodePage(decoder: Decoder, page: readonly StoredEvent[]): Promise<readonly EventEnvelope[]> {
  return page.flatMap((stored) => decodeEvent(decoder, stored))
}

/** Decodes on demand: the events before one that cannot be read are returned before its error. */
export async function decodeInTurn(decoder: Decoder, page: readonly StoredEvent[]): Promise<Iterable<EventEnvelope>> {
  return inTurn(decoder, page)
}

/** A stored event and its envelopes: one, several after a split, none after a drop or a failure. */
export interface Decoded {
  readonly stored: StoredEvent
  readonly events: readonly EventEnvelope[]
  readonly failure?: Undecoded
}

/** The failure to read a stored event. */
export interface Undecoded {
  readonly error: unknown
  /** The event is newer than this program. Absent if any program would fail to read it. */
  readonly newer?: {
    /** The version of its type that this program knows; absent if the type is unknown. */
    readonly known?: string
  }
}

/**
 * Decodes each event of a page separately, also after one that cannot be read.
 *
 * The function `decoderOf` must know every aggregate type of the page.
 */
export async function decodeApart(
  { runtime }: { readonly runtime: Pick<Runtime, 'now'> },
  decoderOf: (aggregateType: string) => Decoder,
  page: readonly StoredEvent[],
): Promise<readonly Decoded[]> {
  return page.map((stored) => {
    const decoder = decoderOf(stored.aggregateType)
    try {
      const decoded = decodeEvent(decoder, stored)
      return { stored, events: Array.isArray(decoded) ? decoded : [decoded] }
    } catch (error) {
      return { stored, events: [], failure: { error, ...newerThan(decoder, stored, error, runtime.now()) } }
    }
  })
}

/** Returns `newer` if a newer program is likely to read the event. */
function newerThan(decoder: Decoder, stored: StoredEvent, error: unknown, now: Date): Pick<Undecoded, 'newer'> {
  if (!isCqrsError(error, 'DESERIALIZATION') || error.kind !== 'outdated') return {}
  const known = decoder.events.get(stored.type)?.version
  if (known !== undefined) return { newer: { known } }
  return now.getTime() - Date.parse(stored.recordedAt) < newForMs ? { newer: {} } : {}
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
    const forms = upcast(decoder.upcasters, stored)
    const keeper = Math.max(
      0,
      forms.findIndex(({ type }) => type === stored.type),
    )
    return forms.map((form, i) => envelope(decoder, stored, form, i === keeper ? stored.id : `${stored.id}.${i + 1}`))
  } catch (error) {
    if (error instanceof DeserializationError) throw error
    const { cause, refused } = error instanceof EvolutionError ? error : { cause: error, refused: undefined }
    const message = `${nameOf(stored)} cannot be read: ${endedSentence(messageOf(error))}`
    throw refusing(new DeserializationError(message, stored, cause, [], kindOfFailure(decoder, stored)), refused)
  }
}

function envelope(decoder: Decoder, stored: StoredEvent, form: Upcasted, id: string): EventEnvelope {
  const codec = decoder.events.get(form.type)
  const by = form.madeBy === undefined ? '' : ` (upcast by upcasters[${form.madeBy}] to '${form.type}' ${form.version})`
  const fail = (problem: string, issues: readonly Issue[] = [], kind = kindOfFailure(decoder, stored)) =>
    refusing(new DeserializationError(`${nameOf(stored)}${by} ${problem}`, stored, undefined, issues, kind), form)
  if (codec === undefined)
    throw fail(
      'is of a type that this program does not know. Deploy the version that declares it, or add an upcaster.',
      [],
      form.type === stored.type ? 'outdated' : undefined,
    )
  if (form.madeBy !== undefined && form.data === undefined && codec.parser.kind !== 'none')
    throw fail('cannot be read: its upcaster returned no data.')
  const parsed = codec.decode(form.version, form.data)
  if (parsed.issues !== undefined)
    throw refusing(
      fail(`cannot be read: ${issuesText(parsed.issues)}.${form.version === codec.version ? hintFor(form) : ''}`, parsed.issues),
      parsed.refused,
    )
  const current = { id, type: codec.type, version: codec.version, metadata: deepFreeze(form.metadata) }
  return envelopeOf(current, deepFreeze(parsed.value), stored, stored.position)
}

/** Only a failure at a newer version than the declared one is `outdated`. */
function kindOfFailure({ events }: Decoder, { type, version }: StoredEvent): DeserializationError['kind'] {
  const ours = parseVersion(events.get(type)?.version ?? '')
  const theirs = parseVersion(version)
  return ours !== undefined && theirs !== undefined && compareVersions(theirs, ours) > 0 ? 'outdated' : 'unreadable'
}

/** Advice for a schema that has changed without a new version. */
const hintFor = ({ version }: Upcasted) =>
  ` Make its schema accept it, or declare a newer version: versions('…', schema, { '${version}': … }).`

const endedSentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`)

const nameOf = (stored: StoredEvent) =>
  `Event ${stored.sequence} of ${stored.aggregateType} '${stored.aggregateId}' (${stored.type} ${stored.version})`
