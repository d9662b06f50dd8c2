import { compareBytes } from '../store/order.ts'
import type { Connection } from './connection.ts'
import { text } from './items.ts'
import { before, behind, entrySortKey, indexPartition, isCut, next, orderedPart } from './keys.ts'

/** A value of an index, with the row that has it. */
export interface Entry {
  readonly id: string
  readonly value: string
}

/** The entries of one index to read. */
export interface Walk {
  readonly name: string
  readonly generation: number
  readonly index: string
  readonly from: Uint8Array<ArrayBuffer>
  readonly to: Uint8Array<ArrayBuffer>
  readonly descending: boolean
  /** Entries per request. */
  readonly size: number
}

/**
 * Reads the entries after `after`, by value in either direction, then by ascending id.
 *
 * The table is ordered by the part of the value that fits, then by id, both ascending. So the
 * descending order goes backwards from value to value, and forwards within each. Entries whose
 * values are cut to the same part are read together and sorted.
 */
export async function* byValue(connection: Connection, walk: Walk, after: Entry | undefined): AsyncGenerator<readonly Entry[]> {
  if (after !== undefined) yield* sameValue(connection, walk, orderedPart(after.value), after)
  const start = after && orderedPart(after.value)
  if (walk.descending) yield* downwards(connection, start === undefined ? walk : { ...walk, to: smaller(walk.to, start) })
  else yield* upwards(connection, start === undefined ? walk : { ...walk, from: greater(walk.from, behind(start)) })
}

async function* upwards(connection: Connection, walk: Walk): AsyncGenerator<readonly Entry[]> {
  for (let { from } = walk; ; ) {
    const page = await query(connection, walk, from, walk.to, true)
    const cut = page.entries.findIndex(({ value }) => isCut(orderedPart(value)))
    yield cut === -1 ? page.entries : page.entries.slice(0, cut)
    const long = page.entries[cut]
    if (long !== undefined) {
      const part = orderedPart(long.value)
      yield* sameValue(connection, walk, part, undefined)
      from = behind(part)
    } else if (page.next !== undefined) from = next(page.next)
    else return
    if (compare(from, walk.to) > 0) return
  }
}

async function* downwards(connection: Connection, walk: Walk): AsyncGenerator<readonly Entry[]> {
  for (let { to } = walk; ; ) {
    if (compare(walk.from, to) > 0) return
    const page = await query(connection, walk, walk.from, to, false)
    for (const { part, entries, isLast } of groups(page.entries)) {
      if (isCut(part) || (isLast && page.next !== undefined)) yield* sameValue(connection, walk, part, undefined)
      else yield entries.reverse()
      to = part
    }
    if (page.next === undefined) return
  }
}

/**
 * Reads all entries of one value, or of all values that are cut to the same part, after `after`.
 */
async function* sameValue(
  connection: Connection,
  walk: Walk,
  part: Uint8Array<ArrayBuffer>,
  after: Entry | undefined,
): AsyncGenerator<readonly Entry[]> {
  const long = isCut(part)
  const all: Entry[] = []
  for (let from = after === undefined || long ? before(part) : next(entrySortKey(after.value, after.id)); ; ) {
    const page = await query(connection, walk, from, behind(part), true)
    if (long) all.push(...page.entries)
    else yield page.entries
    if (page.next === undefined) break
    from = next(page.next)
  }
  if (!long) return
  const order = (a: Entry, b: Entry) =>
    (walk.descending ? compareBytes(b.value, a.value) : compareBytes(a.value, b.value)) || compareBytes(a.id, b.id)
  yield all.filter((entry) => after === undefined || order(entry, after) > 0).sort(order)
}

function groups(entries: readonly Entry[]) {
  const found: { part: Uint8Array<ArrayBuffer>; entries: Entry[] }[] = []
  for (const entry of entries) {
    const part = orderedPart(entry.value)
    const open = found.at(-1)
    if (open !== undefined && compare(open.part, part) === 0) open.entries.push(entry)
    else found.push({ part, entries: [entry] })
  }
  return found.map((group, i) => ({ ...group, isLast: i === found.length - 1 }))
}

async function query(
  connection: Connection,
  { name, generation, index, size }: Walk,
  from: Uint8Array<ArrayBuffer>,
  to: Uint8Array<ArrayBuffer>,
  forwards: boolean,
) {
  if (compare(from, to) > 0) return { entries: [], next: undefined }
  const page = await connection.query({
    TableName: connection.tables.views,
    KeyConditionExpression: '#Pk = :pk AND #Sk BETWEEN :from AND :to',
    ExpressionAttributeNames: { '#Pk': 'Pk', '#Sk': 'Sk' },
    ExpressionAttributeValues: { ':pk': { S: indexPartition(name, generation, index) }, ':from': { B: from }, ':to': { B: to } },
    ScanIndexForward: forwards,
    Limit: size,
  })
  const entries = page.items.map((item): Entry => ({ id: text(item.ViewId) ?? '', value: text(item.Value) ?? '' }))
  return { entries, next: page.next?.Sk?.B }
}

const smaller = (a: Uint8Array<ArrayBuffer>, b: Uint8Array<ArrayBuffer>) => (compare(a, b) < 0 ? a : b)
const greater = (a: Uint8Array<ArrayBuffer>, b: Uint8Array<ArrayBuffer>) => (compare(a, b) > 0 ? a : b)

function compare(a: Uint8Array, b: Uint8Array): number {
  const end = Math.min(a.length, b.length)
  for (let i = 0; i < end; i++) {
    const order = (a[i] ?? 0) - (b[i] ?? 0)
    if (order !== 0) return order
  }
  return a.length - b.length
}
