import type { Item } from './client.ts'

const encoder = new TextEncoder()

/** The bytes that DynamoDB stores and orders a text by. */
export const bytesOf = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text)

/** Partition of an aggregate's events and of its snapshot, as the Rust crate has it. */
export const aggregateKey = (aggregateType: string, aggregateId: string): string => `${aggregateType}:${aggregateId}`

/** Names an aggregate in memory, where two that share a partition are still two. */
export const aggregateOf = (aggregateType: string, aggregateId: string): string => JSON.stringify([aggregateType, aggregateId])

export const eventKey = (aggregateType: string, aggregateId: string, sequence: number): Item => ({
  AggregateTypeAndId: { S: aggregateKey(aggregateType, aggregateId) },
  AggregateIdSequence: { N: String(sequence) },
})

/** Partition of the rows of one generation of a view. Generations are digits, so no name can reach into another's. */
export const viewPartition = (name: string, generation: number): string => `view/${generation}/${name}`

/** Partition of the entries of one index of a view. The length says where the name ends. */
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
 * Sort keys take 1,024 bytes and an id up to 765 (255 units of three bytes). So that a value, a separator, an id and one byte more (for "behind
 * this one") always fit, longer values are cut. Entries whose values are cut to the same are sorted when they are read.
 */
const valueBytes = 257

/** The value as far as entries are ordered by it in the table. */
export const orderedPart = (value: string): Uint8Array<ArrayBuffer> => bytesOf(value).slice(0, valueBytes)

/** Whether other values may be stored under the same part. */
export const isCut = (part: Uint8Array): boolean => part.length === valueBytes

/** Neither values nor ids hold a NUL, so a shorter value sorts first. */
export const entrySortKey = (value: string, id: string): Uint8Array<ArrayBuffer> =>
  concat(orderedPart(value), separator, bytesOf(id))

/** Before and behind all entries of a value's ordered part; no entry has either as its key. */
export const before = (part: Uint8Array): Uint8Array<ArrayBuffer> => concat(part, separator)
export const behind = (part: Uint8Array): Uint8Array<ArrayBuffer> => concat(part, new Uint8Array([1]))

/** The first key that could come next. */
export const next = (key: Uint8Array): Uint8Array<ArrayBuffer> => concat(key, separator)

/** Before and behind all keys of a partition. */
export const first: Uint8Array<ArrayBuffer> = new Uint8Array([0])
export const last: Uint8Array<ArrayBuffer> = new Uint8Array([0xff])

export const keyOfKey = (aggregateType: string, aggregateId: string, idempotencyKey: string): Item => ({
  Pk: { S: `key/${aggregateKey(aggregateType, aggregateId)}` },
  Sk: { S: idempotencyKey },
})

/** One item for the lease and the checkpoint of a name, so that moving the checkpoint checks the fence in the same action. */
export const consumerKey = (name: string): Item => ({ Pk: { S: `consumer/${name}` }, Sk: { S: '-' } })

/** One of the copies of a view's generations; each is a partition of its own, with write units of its own. */
export const generationsKey = (name: string, copy: number): Item => ({ Pk: { S: `generations/${copy}/${name}` }, Sk: { S: '-' } })

/** There when another program writes events too. */
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
