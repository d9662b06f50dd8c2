import { DeserializationError, StoreError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { StoredEvent } from '../store/commit.ts'
import { eventId } from '../store/event-id.ts'
import { type InexactNumbers, parseExact, problemOf } from '../store/exact-json.ts'
import { decodeMetadata, decodePayload, type PayloadFormat } from '../store/payload-format.ts'
import type { IdsPage, StoredKey, StoredSnapshot, StoredView, ViewFind, ViewGeneration, ViewPage } from '../store/store.ts'

/** A row of the table `events`, as a driver hands it out: integers may be numbers, bigints or digits. */
export interface EventRow {
  readonly position: unknown
  readonly aggregate_type: string
  readonly aggregate_id: string
  readonly sequence: unknown
  readonly event_type: string
  readonly event_version: string
  readonly payload: string
  readonly metadata: string
  readonly recorded_at: string
  readonly commit_id: string
}

/** How the rows of a store are read. The result throws a DeserializationError when a row's JSON is corrupt, not of this format, or has a number that is refused. */
export const eventReader =
  (format: PayloadFormat, inexact: InexactNumbers) =>
  (row: EventRow): StoredEvent => {
    const aggregateType = row.aggregate_type
    const aggregateId = row.aggregate_id
    const sequence = Number(row.sequence)
    return {
      id: eventId(aggregateType, aggregateId, sequence),
      type: row.event_type,
      version: row.event_version,
      data: parse(row, 'payload', inexact, (payload) => decodePayload(format, row.event_type, payload)),
      aggregateType,
      aggregateId,
      sequence,
      position: String(row.position) as Position,
      metadata: parse(row, 'metadata', inexact, decodeMetadata),
      commitId: row.commit_id,
      recordedAt: row.recorded_at,
    }
  }

function parse<T>(row: EventRow, column: 'payload' | 'metadata', inexact: InexactNumbers, decode: (value: unknown) => T): T {
  try {
    return decode(parseExact(row[column], inexact))
  } catch (cause) {
    const position = String(row.position) as Position
    const at = { aggregateType: row.aggregate_type, aggregateId: row.aggregate_id, sequence: Number(row.sequence), position }
    const event = eventId(at.aggregateType, at.aggregateId, at.sequence)
    throw new DeserializationError(`The ${column} of the stored event ${event} ${problemOf(cause)}.`, at, cause)
  }
}

type Row = Readonly<Record<string, unknown>>

/** `undefined` when its JSON is corrupt, or its event is not stored: it then counts as none. */
export function toStoredSnapshot(
  stateVersion: string,
  { sequence, version, payload, commit_id: commitId }: Row,
): StoredSnapshot | undefined {
  if (typeof commitId !== 'string') return undefined
  try {
    const state: unknown = parseExact(payload as string)
    return { sequence: Number(sequence), commitId, stateVersion, version: Number(version), state }
  } catch {
    return undefined
  }
}

export const toStoredKey = (row: Row): StoredKey => ({
  commandHash: row.command_hash as string,
  commitId: row.commit_id as string,
  firstSequence: Number(row.first_sequence),
  lastSequence: Number(row.last_sequence),
})

export const toViewGeneration = (row: Row): ViewGeneration => ({
  generation: Number(row.generation),
  viewVersion: row.view_version as string,
  state: row.state as ViewGeneration['state'],
})

/** `rows`: one more than `limit`, where there is one. */
export const toIdsPage = (limit: number, rows: readonly Row[]): IdsPage => ({
  items: rows.slice(0, limit).map((row) => row.id as string),
  more: rows.length > limit,
})

/** `rows`: one more than `limit`, where there is one. @throws StoreError `STORE_CORRUPT` when the JSON of a row is corrupt */
export function toViewPage({ name, orderBy, limit }: ViewFind, rows: readonly Row[]): ViewPage {
  const page = rows.slice(0, limit)
  const items = page.map((row) => toStoredView({ name, generation: row.generation, id: row.view_id as string }, row))
  const last = page.at(-1)
  if (last === undefined || rows.length <= limit) return { items }
  const id = last.view_id as string
  return { items, next: orderBy ? { id, value: last.value as string } : { id } }
}

/** @throws StoreError `STORE_CORRUPT` when the row's JSON is corrupt */
export function toStoredView(
  { name, generation, id }: { readonly name: string; readonly generation: unknown; readonly id: string },
  row: Row,
): StoredView {
  const view = parseView(name, id, row.payload)
  const stored = { name, generation: Number(generation), id, version: Number(row.version), view }
  return row.sequence === null || row.sequence === undefined ? stored : { ...stored, sequence: Number(row.sequence) }
}

function parseView(name: string, id: string, payload: unknown): unknown {
  try {
    return parseExact(payload as string)
  } catch (cause) {
    throw new StoreError(
      'STORE_CORRUPT',
      `The row of the view ${name}/${id} ${problemOf(cause)}: restore it from a backup.`,
      cause,
    )
  }
}
