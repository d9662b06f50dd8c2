import { compareBytes } from '../store/order.ts'
import type { ViewFind, ViewPage } from '../store/store.ts'
import type { ReadItem } from './client.ts'
import type { Connection } from './connection.ts'
import { byValue, type Entry } from './entries.ts'
import { onGeneration } from './generations.ts'
import { isDeleted, readIndexes, text, toStoredView } from './items.ts'
import { before, behind, bytesOf, first, last, next, orderedPart, viewPartition } from './keys.ts'
import { readRows } from './views.ts'

/** A row in the requested order, with its value of the index in `orderBy`. */
interface Found {
  readonly row: ReadItem
  readonly value: string | undefined
}

/** Rows per request, the maximum of a batch read. */
const step = 100

export function findViews(connection: Connection, request: ViewFind): Promise<ViewPage> {
  const { name, orderBy, limit } = request
  return onGeneration(connection, name, request.generation, async (generation) => {
    const found: Found[] = []
    for await (const page of pagesOf(connection, request, generation)) {
      found.push(...page)
      if (found.length > limit) break
    }
    const shown = found.slice(0, limit)
    const items = shown.map(({ row }) => toStoredView(name, generation, row))
    const end = shown.at(-1)
    if (end === undefined || found.length <= limit) return { items }
    const id = text(end.row.ViewId) ?? ''
    return { items, next: orderBy ? { id, value: end.value ?? '' } : { id } }
  })
}

/**
 * Reads by the index of `orderBy`, else by one with `=`, else all rows.
 *
 * Within a value of an index, entries are ordered by id.
 */
async function* pagesOf(connection: Connection, request: ViewFind, generation: number): AsyncGenerator<readonly Found[]> {
  const { name, where, orderBy, after, limit } = request
  const equal = where.find(({ is }) => is === '=')
  const index = orderBy?.index ?? equal?.index
  const size = Math.min(Math.max(limit + 1, 10), step)
  if (index === undefined) {
    for await (const rows of rowsById(connection, name, generation, after?.id, size))
      yield rows.filter((row) => !isDeleted(row) && meets(row, where)).map((row) => ({ row, value: undefined }))
    return
  }
  const start = after && { id: after.id, value: (orderBy ? after.value : equal?.value) ?? '' }
  const { from, to } = bounds(where.filter((condition) => condition.index === index))
  const entries = byValue(
    connection,
    { name, generation, index, from, to, descending: orderBy?.descending ?? false, size },
    start,
  )
  for await (const page of entries) {
    for (let i = 0; i < page.length; i += step)
      yield await toFound(connection, request, generation, index, page.slice(i, i + step))
  }
}

/** Skips entries whose row has changed or gone meanwhile. */
async function toFound(
  connection: Connection,
  { name, where }: ViewFind,
  generation: number,
  index: string,
  entries: readonly Entry[],
): Promise<readonly Found[]> {
  const rows = await readRows(
    connection,
    entries.map(({ id }) => ({ name, generation, id })),
  )
  return entries.flatMap(({ value }, i) => {
    const row = rows[i]
    if (row === undefined || isDeleted(row) || indexValue(row, index) !== value || !meets(row, where)) return []
    return [{ row, value }]
  })
}

async function* rowsById(
  connection: Connection,
  name: string,
  generation: number,
  after: string | undefined,
  size: number,
): AsyncGenerator<readonly ReadItem[]> {
  for (let from = after === undefined ? first : next(bytesOf(after)); ; ) {
    const page = await connection.query({
      TableName: connection.tables.views,
      KeyConditionExpression: '#Pk = :pk AND #Sk BETWEEN :from AND :to',
      ExpressionAttributeNames: { '#Pk': 'Pk', '#Sk': 'Sk' },
      ExpressionAttributeValues: { ':pk': { S: viewPartition(name, generation) }, ':from': { B: from }, ':to': { B: last } },
      Limit: size,
    })
    yield page.items
    if (page.next?.Sk?.B === undefined) return
    from = next(page.next.Sk.B)
  }
}

/** Bounds that include all matching entries. `meets` then checks the conditions exactly. */
function bounds(conditions: ViewFind['where']): { from: Uint8Array<ArrayBuffer>; to: Uint8Array<ArrayBuffer> } {
  const low = conditions.filter(({ is }) => is === '=' || is.startsWith('>')).map(({ value }) => value)
  const high = conditions.filter(({ is }) => is === '=' || is.startsWith('<')).map(({ value }) => value)
  const least = low.sort(compareBytes).at(-1)
  const most = high.sort(compareBytes)[0]
  return {
    from: least === undefined ? first : before(orderedPart(least)),
    to: most === undefined ? last : behind(orderedPart(most)),
  }
}

const indexValue = (row: ReadItem, index: string): string | undefined => readIndexes(row).find(([name]) => name === index)?.[1]

function meets(row: ReadItem, where: ViewFind['where']): boolean {
  return where.every(({ index, is, value }) => {
    const own = indexValue(row, index)
    if (own === undefined) return false
    const order = compareBytes(own, value)
    if (is === '=') return order === 0
    if (is === '<') return order < 0
    if (is === '<=') return order <= 0
    return is === '>' ? order > 0 : order >= 0
  })
}
