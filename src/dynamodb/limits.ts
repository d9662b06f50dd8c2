import { StoreError } from '../errors.ts'
import type { Commit } from '../store/commit.ts'
import type { SerializedCommit } from '../store/serialize-commit.ts'
import type { Capabilities } from '../store/store.ts'
import type { AttributeValue, Item, TransactionAction } from './client.ts'
import { bytesOf } from './keys.ts'

/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html */
const itemBytes = 400 * 1024
const actions = 100
const transactionBytes = 4 * 1024 * 1024
const partitionKeyBytes = 2_048
const sortKeyBytes = 1_024

/** Maximum bytes of data and metadata: an event's other attributes have up to 5,600 bytes. */
const eventBytes = 400_000

export const capabilities = {
  globalOrder: false,
  push: false,
  appendsPerCommit: actions,
  itemsPerCommit: actions,
  bytesPerCommit: transactionBytes,
  bytesPerEvent: eventBytes,
} as const satisfies Capabilities

/**
 * Refuses events that DynamoDB would refuse, before anything is sent. @throws StoreError
 * `STORE_LIMIT`
 */
export function checkEvents({ appends }: Commit, { events }: SerializedCommit): void {
  for (const [i, { aggregateType, aggregateId, expectedSequence }] of appends.entries()) {
    for (const [j, { data, metadata }] of (events[i] ?? []).entries()) {
      if (3 * (data.length + metadata.length) <= eventBytes) continue
      const size = utf8Length(data) + utf8Length(metadata)
      if (size <= eventBytes) continue
      const event = `${aggregateType}/${aggregateId}/${expectedSequence + 1 + j}`
      throw limit(
        `Event ${event} has ${count(size)} bytes of data and metadata; the limit is ${count(eventBytes)}, because an item of DynamoDB has up to 400 KB. Nothing was stored.`,
      )
    }
  }
}

/** @throws StoreError `STORE_LIMIT` when the actions exceed a limit of DynamoDB */
export function checkActions(all: readonly { readonly what: string; readonly action: TransactionAction }[]): void {
  if (all.length > actions) {
    throw limit(
      `The commit needs ${count(all.length)} items in one DynamoDB transaction (${summary(all)}); the limit is ${actions}. Nothing was stored.`,
    )
  }
  let sum = 0
  for (const { what, action } of all) {
    const size = sizeOf(action)
    checkKey(what, action)
    if (size > itemBytes)
      throw limit(
        `An item of the commit (${what}) has ${count(size)} bytes; the limit is ${count(itemBytes)} (400 KB). Nothing was stored.`,
      )
    sum += size
  }
  if (all.length > 1 && sum > transactionBytes) {
    throw limit(
      `The commit has ${count(sum)} bytes; the limit of a DynamoDB transaction is ${count(transactionBytes)} (4 MB). Nothing was stored.`,
    )
  }
}

/** For example `event: 3, key: 1`. */
function summary(all: readonly { readonly what: string }[]): string {
  const counts = new Map<string, number>()
  for (const { what } of all) counts.set(what, (counts.get(what) ?? 0) + 1)
  return [...counts].map(([what, times]) => `${what}: ${times}`).join(', ')
}

function checkKey(what: string, { Put, Update, Delete, ConditionCheck }: TransactionAction): void {
  const { Sk, Pk, AggregateTypeAndId }: Partial<Item> = Put?.Item ?? Update?.Key ?? Delete?.Key ?? ConditionCheck?.Key ?? {}
  const partition = valueLength(Pk ?? AggregateTypeAndId)
  if (partition > partitionKeyBytes)
    throw limit(
      `A partition key of the commit (${what}) has ${count(partition)} bytes; the limit is ${count(partitionKeyBytes)}. Nothing was stored.`,
    )
  const sort = valueLength(Sk)
  if (sort > sortKeyBytes)
    throw limit(
      `A sort key of the commit (${what}) has ${count(sort)} bytes; the limit is ${count(sortKeyBytes)}. Nothing was stored.`,
    )
}

function sizeOf({ Put, Update, Delete, ConditionCheck }: TransactionAction): number {
  if (Put !== undefined) return itemLength(Put.Item)
  if (Update !== undefined) return itemLength(Update.Key) + itemLength(Update.ExpressionAttributeValues ?? {}) + 200
  return itemLength(Delete?.Key ?? ConditionCheck?.Key ?? {})
}

/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html */
function itemLength(item: Readonly<Record<string, AttributeValue>>): number {
  let sum = 0
  for (const [name, value] of Object.entries(item)) sum += name.length + valueLength(value)
  return sum
}

function valueLength(value: AttributeValue | undefined): number {
  if (value === undefined) return 0
  if ('S' in value) return utf8Length(value.S)
  if ('B' in value) return value.B.length
  return 'N' in value ? 21 : 3 + 21 * value.NS.length
}

const utf8Length = (text: string): number => bytesOf(text).length

const count = (n: number): string => n.toLocaleString('en-US')

const limit = (message: string) => new StoreError('STORE_LIMIT', message)
