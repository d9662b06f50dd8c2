import { DeserializationError, StoreError } from '../errors.ts'
import type { Append, StoredEvent, ViewWrite } from '../store/commit.ts'
import { eventId } from '../store/event-id.ts'
import { type InexactNumbers, parseExact, problemOf } from '../store/exact-json.ts'
import type { Head } from '../store/head.ts'
import { decodeMetadata, decodePayload, type PayloadFormat } from '../store/payload-format.ts'
import type { StoredKey, StoredSnapshot, StoredView } from '../store/store.ts'
import type { Item, ReadAttribute, ReadItem } from './client.ts'
import { aggregateKey, bytesOf, eventKey, viewKey } from './keys.ts'

const decoder = new TextDecoder()

export const text = (attribute: ReadAttribute | undefined): string | undefined => attribute?.S
export const number = (attribute: ReadAttribute | undefined): number => Number(attribute?.N ?? Number.NaN)

export function eventItem(append: Append, i: number, texts: { readonly data: string; readonly metadata: string }): Item {
  const { aggregateType, aggregateId, expectedSequence, events } = append
  const { type, version, commitId, recordedAt } = events[i] as Append['events'][number]
  const sequence = expectedSequence + 1 + i
  return {
    ...eventKey(aggregateType, aggregateId, sequence),
    AggregateType: { S: aggregateType },
    AggregateId: { S: aggregateId },
    EventType: { S: type },
    EventVersion: { S: version },
    Payload: { B: bytesOf(texts.data) },
    Metadata: { B: bytesOf(texts.metadata) },
    CommitId: { S: commitId },
    RecordedAt: { S: recordedAt },
    ...(sequence === 1 && { FirstOfType: { S: aggregateType } }),
  }
}

/**
 * Whether the item is of this aggregate: with colons in types, two aggregates can share a
 * partition.
 *
 * Type `a:b` with id `c`, written by another program, has the partition of type `a` with id `b:c`.
 */
export const isOf = (item: ReadItem, aggregateType: string, aggregateId: string): boolean =>
  (text(item.AggregateType) ?? aggregateType) === aggregateType && (text(item.AggregateId) ?? aggregateId) === aggregateId

/** Options for reading stored events. */
export interface Reading {
  readonly payloadFormat: PayloadFormat
  readonly inexactNumbers: InexactNumbers
}

/**
 * Reads an event. One of another program has no commit id and only this time.
 *
 * @throws DeserializationError when its JSON is corrupt, is of another format or has a number that
 * is refused
 */
export function toStoredEvent(
  item: ReadItem,
  aggregateType: string,
  aggregateId: string,
  { payloadFormat: format, inexactNumbers: inexact }: Reading,
): StoredEvent {
  const sequence = number(item.AggregateIdSequence)
  const id = eventId(aggregateType, aggregateId, sequence)
  const type = text(item.EventType) ?? ''
  const json = <T>(attribute: 'Payload' | 'Metadata', decode: (value: unknown) => T): T => {
    try {
      return decode(parse(item[attribute], inexact))
    } catch (cause) {
      const at = { aggregateType, aggregateId, sequence }
      throw new DeserializationError(`The ${attribute.toLowerCase()} of the stored event '${id}' ${problemOf(cause)}.`, at, cause)
    }
  }
  return {
    id,
    type,
    version: text(item.EventVersion) ?? '',
    data: json('Payload', (payload) => decodePayload(format, type, payload)),
    aggregateType,
    aggregateId,
    sequence,
    metadata: json('Metadata', decodeMetadata),
    commitId: text(item.CommitId) ?? '',
    recordedAt: text(item.RecordedAt) ?? '1970-01-01T00:00:00.000Z',
  }
}

export const headOf = (item: ReadItem): Head => ({
  sequence: number(item.AggregateIdSequence),
  commitId: text(item.CommitId) ?? '',
})

export const snapshotKey = (aggregateType: string, aggregateId: string): Item => ({
  AggregateTypeAndId: { S: aggregateKey(aggregateType, aggregateId) },
})

/** Returns `undefined` for a snapshot of another program or version, or without valid JSON. */
export function toStoredSnapshot(item: ReadItem, stateVersion: string): StoredSnapshot | undefined {
  const sequence = number(item.CurrentSequence)
  if (text(item.StateVersion) !== stateVersion || number(item.VouchedSequence) !== sequence) return undefined
  try {
    return {
      sequence,
      commitId: text(item.CommitId) ?? '',
      stateVersion,
      version: number(item.CurrentSnapshot),
      state: parse(item.Payload),
    }
  } catch {
    return undefined
  }
}

export function toStoredKey(item: ReadItem): StoredKey {
  return {
    commandHash: text(item.CommandHash) ?? '',
    commitId: text(item.CommitId) ?? '',
    firstSequence: number(item.FirstSequence),
    lastSequence: number(item.LastSequence),
  }
}

/**
 * Index names and values are one JSON text, because a name such as `__proto__` is unsafe in a map.
 */
export function viewItem(write: ViewWrite, payload: string, indexes: ReturnType<typeof indexesOf>): Item {
  return {
    ...viewKey(write.name, write.generation, write.id),
    ViewId: { S: write.id },
    Version: { N: String(write.expectedVersion + 1) },
    Payload: { S: payload },
    Indexes: { S: JSON.stringify(indexes) },
    ...(write.sequence !== undefined && { Sequence: { N: String(write.sequence) } }),
  }
}

/** The index values of a row once it is written. */
export const indexesOf = (write: ViewWrite): readonly (readonly [string, string])[] =>
  write.view === null ? [] : (write.indexes ?? []).map(({ index, value }) => [index, value])

/** The index values of a stored row. @throws StoreError `STORE_CORRUPT` */
export function readIndexes(row: ReadItem): readonly (readonly [string, string])[] {
  try {
    return JSON.parse(text(row.Indexes) ?? '[]') as [string, string][]
  } catch (cause) {
    const message = `The index values of the view row ${text(row.Pk)}/${text(row.ViewId)} are not JSON. Restore the row from a backup.`
    throw new StoreError('STORE_CORRUPT', message, cause)
  }
}

export const isDeleted = (row: ReadItem): boolean => text(row.Payload) === 'null'

/** @throws StoreError `STORE_CORRUPT` when the row's JSON is corrupt */
export function toStoredView(name: string, generation: number, row: ReadItem): StoredView {
  const id = text(row.ViewId) ?? ''
  const stored = { name, generation, id, version: number(row.Version), view: parseView(name, id, row.Payload) }
  return row.Sequence === undefined ? stored : { ...stored, sequence: number(row.Sequence) }
}

function parseView(name: string, id: string, payload: ReadAttribute | undefined): unknown {
  try {
    return parse(payload)
  } catch (cause) {
    throw new StoreError(
      'STORE_CORRUPT',
      `The stored row '${id}' of view '${name}' ${problemOf(cause)}. Restore it from a backup.`,
      cause,
    )
  }
}

const parse = (attribute: ReadAttribute | undefined, inexact?: InexactNumbers): unknown =>
  parseExact(attribute?.S ?? decoder.decode(attribute?.B), inexact)
