import type { Item } from './client.ts'

const encoder = new TextEncoder()

/** The bytes by which DynamoDB stores and orders a text. */
export const bytesOf = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text)

/** Partition of an aggregate's events and of its snapshot, the same as in the Rust crate. */
export const aggregateKey = (aggregateType: string, aggregateId: string): string => `${aggregateType}:${aggregateId}`

/** The key of an aggregate in memory, unique even for two that share a partition. */
export const aggregateOf = (aggregateType: string, aggregateId: string): string => JSON.stringify([aggregateType, aggregateId])

export const eventKey = (aggregateType: string, aggregateId: string, sequence: number): Item => ({
  AggregateTypeAndId: { S: aggregateKey(aggregateType, aggregateId) },
  AggregateIdSequence: { N: String(sequence) },
})

/**
 * Partition of the rows of one generation of a view. Generations are digits, so names cannot
 * collide.
 */
export const viewPartition = (name: string, generation: number): string => `view/${generation}/${name}`

/** Partition of the entries of one index of a view. The length separates the names. */
export const indexPartition = (name: string, generation: number, index: string): string =>
  `index/${generation}/${name.length}/${name}/${index}`

export const viewKey = (name: string, generation: number, id: string): Item => ({
  Pk: { S: viewPartition(name, generation) },
  Sk: { B: bytesOf(id) },
})

export const entryKey = (name: string, generation: number, index: string, value: string, id: string): Item => ({
  Pk: { S: indexPartition(name, generation, index) },
  Sk: { B: entrySortKey(value, id) },
})

/**
 * Maximum bytes of a value in a sort key.
 *
 * A sort key has up to 1,024 bytes, an id up to 765 (255 units of three bytes). Longer values are
 * cut, so that value, separator, id and one more byte always fit. Entries whose values are cut to
 * the same part are sorted when they are read.
 */
const valueBytes = 257

/** The part of a value by which the table orders its entries. */
export const orderedPart = (value: string): Uint8Array<ArrayBuffer> => bytesOf(value).slice(0, valueBytes)

/** Whether other values may be stored under the same part. */
export const isCut = (part: Uint8Array): boolean => part.length === valueBytes

/** The sort key of an entry. Values and ids contain no NUL, so a shorter value sorts first. */
export const entrySortKey = (value: string, id: string): Uint8Array<ArrayBuffer> =>
  concat(orderedPart(value), separator, bytesOf(id))

/** Keys before and after all entries of a part; no entry has one of them. */
export const before = (part: Uint8Array): Uint8Array<ArrayBuffer> => concat(part, separator)
export const behind = (part: Uint8Array): Uint8Array<ArrayBuffer> => concat(part, new Uint8Array([1]))

/** The first possible key after this one. */
export const next = (key: Uint8Array): Uint8Array<ArrayBuffer> => concat(key, separator)

/** Keys before and after all keys of a partition. */
export const first: Uint8Array<ArrayBuffer> = new Uint8Array([0])
export const last: Uint8Array<ArrayBuffer> = new Uint8Array([0xff])

export const keyOfKey = (aggregateType: string, aggregateId: string, idempotencyKey: string): Item => ({
  Pk: { S: `key/${aggregateKey(aggregateType, aggregateId)}` },
  Sk: { S: idempotencyKey },
})

/**
 * One item for lease and checkpoint of a name, so that one action moves the checkpoint and checks
 * the fence.
 */
export const consumerKey = (name: string): Item => ({ Pk: { S: `consumer/${name}` }, Sk: { S: '-' } })

/** One copy of a view's generations. Each is a partition with its own write capacity. */
export const generationsKey = (name: string, copy: number): Item => ({ Pk: { S: `generations/${copy}/${name}` }, Sk: { S: '-' } })

/** Exists if another program writes events, too. */
export const foreignWritersKey: Item = { Pk: { S: 'foreign-writers' }, Sk: { S: '-' } }

export const schemaKey: Item = { Pk: { S: 'schema' }, Sk: { S: '-' } }

const separator = new Uint8Array([0])

function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
