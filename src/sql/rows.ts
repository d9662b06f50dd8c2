import { DeserializationError, StoreError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { Checkpoint, StoredConsumer } from '../store/consumer.ts'
import { eventId } from '../store/event-id.ts'
import { type InexactNumbers, parseExact, problemOf } from '../store/exact-json.ts'
import { decodeMetadata, decodePayload, type PayloadFormat } from '../store/payload-format.ts'
import type { IdsPage, StoredKey, StoredSnapshot, StoredView, ViewFind, ViewGeneration, ViewPage } from '../store/store.ts'
import { digitsOrNull, oneOf, type Row, text, textOrNull, whole, wholeOrNull } from './columns.ts'

/** A row of the table `events`, as the driver returns it. */
export type EventRow = Row

/**
 * Creates the function that reads event rows.
 *
 * That function throws a DeserializationError when the row's JSON is corrupt, is of another format
 * or has a number that is refused. It throws a StoreError when the driver has changed the row.
 */
export const eventReader =
  (format: PayloadFormat, inexact: InexactNumbers) =>
  (row: EventRow): StoredEvent => {
    const at = placeOf(row)
    const { aggregateType, aggregateId, sequence, position } = at
    const type = text(row, 'event_type')
    // Written out, because spreading one object into another takes several times as long.
    const event: Writable<StoredEvent> = {
      id: eventId(aggregateType, aggregateId, sequence),
      type,
      version: text(row, 'event_version'),
      data: parse(row, at, 'payload', inexact, (payload) => decodePayload(format, type, payload)),
      aggregateType,
      aggregateId,
      sequence,
      metadata: parse(row, at, 'metadata', inexact, decodeMetadata),
      commitId: text(row, 'commit_id'),
      recordedAt: text(row, 'recorded_at'),
    }
    if (position !== undefined) event.position = position
    return event
  }

type Writable<T> = { -readonly [K in keyof T]: T[K] }

function placeOf(row: EventRow) {
  const aggregateType = text(row, 'aggregate_type')
  const aggregateId = text(row, 'aggregate_id')
  const position = digitsOrNull(row, 'position') as Position | null
  // An event that another program has inserted may have no position yet.
  const sequence = whole(row, 'sequence')
  return position === null ? { aggregateType, aggregateId, sequence } : { aggregateType, aggregateId, sequence, position }
}

function parse<T>(
  row: EventRow,
  at: ReturnType<typeof placeOf>,
  column: 'payload' | 'metadata',
  inexact: InexactNumbers,
  decode: (value: unknown) => T,
): T {
  const json = text(row, column)
  try {
    return decode(parseExact(json, inexact))
  } catch (cause) {
    const event = eventId(at.aggregateType, at.aggregateId, at.sequence)
    throw new DeserializationError(`The ${column} of the stored event '${event}' ${problemOf(cause)}.`, at, cause)
  }
}

/** Returns `undefined` if the snapshot's JSON is corrupt or its event is not stored. */
export function toStoredSnapshot(stateVersion: string, row: Row): StoredSnapshot | undefined {
  const sequence = whole(row, 'sequence')
  const commitId = textOrNull(row, 'commit_id')
  const version = whole(row, 'version')
  const json = text(row, 'payload')
  if (commitId === null) return undefined
  try {
    return { sequence, commitId, stateVersion, version, state: parseExact(json) }
  } catch {
    return undefined
  }
}

export const toStoredKey = (row: Row): StoredKey => ({
  commandHash: text(row, 'command_hash'),
  commitId: text(row, 'commit_id'),
  firstSequence: whole(row, 'first_sequence'),
  lastSequence: whole(row, 'last_sequence'),
})

export const toCheckpoint = (row: Row): Checkpoint => ({ position: text(row, 'position'), fence: whole(row, 'position_fence') })

/** Reads the checkpoint and the lease of one name, each NULL if there is none. */
export function toStoredConsumer(row: Row): StoredConsumer {
  const holder = textOrNull(row, 'holder')
  return {
    ...(textOrNull(row, 'position') !== null && { checkpoint: toCheckpoint(row) }),
    ...(holder !== null && { lease: { holder, fence: whole(row, 'fence'), remainingMs: whole(row, 'remaining_ms') } }),
  }
}

/** Sorts rows by their number `nth`, because a server may ignore the order of a part of a UNION. */
export const toStoredConsumers = (rows: readonly Row[]): StoredConsumer[] =>
  [...rows].sort((a, b) => whole(a, 'nth') - whole(b, 'nth')).map(toStoredConsumer)

export const toViewGeneration = (row: Row): ViewGeneration => ({
  generation: whole(row, 'generation'),
  viewVersion: text(row, 'view_version'),
  state: oneOf(row, 'state', ['building', 'live', 'retired']),
})

/** `rows` has one more than `limit` if there is a next page. */
export const toIdsPage = (limit: number, rows: readonly Row[]): IdsPage => ({
  items: rows.slice(0, limit).map((row) => text(row, 'id')),
  more: rows.length > limit,
})

/**
 * `rows` has one more than `limit` if there is a next page. @throws StoreError `STORE_CORRUPT` when
 * a row's JSON is corrupt
 */
export function toViewPage({ name, orderBy, limit }: ViewFind, rows: readonly Row[]): ViewPage {
  const page = rows.slice(0, limit)
  const items = page.map((row) => toStoredView(name, text(row, 'view_id'), row))
  const last = page.at(-1)
  if (last === undefined || rows.length <= limit) return { items }
  const id = text(last, 'view_id')
  return { items, next: orderBy ? { id, value: text(last, 'value') } : { id } }
}

/** @throws StoreError `STORE_CORRUPT` when the row's JSON is corrupt */
export function toStoredView(name: string, id: string, row: Row): StoredView {
  const view = parseView(name, id, text(row, 'payload'))
  const stored = { name, generation: whole(row, 'generation'), id, version: whole(row, 'version'), view }
  const sequence = wholeOrNull(row, 'sequence')
  return sequence === null ? stored : { ...stored, sequence }
}

function parseView(name: string, id: string, json: string): unknown {
  try {
    return parseExact(json)
  } catch (cause) {
    throw new StoreError(
      'STORE_CORRUPT',
      `The stored row '${id}' of view '${name}' ${problemOf(cause)}. Restore it from a backup.`,
      cause,
    )
  }
}
