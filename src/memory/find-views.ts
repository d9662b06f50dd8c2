import { compareBytes } from '../store/order.ts'
import type { ViewFind, ViewPage } from '../store/store.ts'
import { type Tables, toStoredView, type ViewRow } from './tables.ts'

interface Found {
  readonly id: string
  readonly row: ViewRow
  /** Sort key before the id; the same for all rows without `orderBy`. */
  readonly value: string
}

/** Scans all rows of the view, which is fast enough for tests and demos. */
export function findViews(tables: Tables, { name, generation: wanted, where, orderBy, after, limit }: ViewFind): ViewPage {
  const generation = tables.readGeneration(name, wanted)
  const compare = (a: Omit<Found, 'row'>, b: Omit<Found, 'row'>): number => {
    const byValue = compareBytes(a.value, b.value)
    return (orderBy?.descending ? -byValue : byValue) || compareBytes(a.id, b.id)
  }
  const start = after && { id: after.id, value: (orderBy && after.value) ?? '' }
  const found: Found[] = []
  for (const [id, row] of tables.views.get(name)?.get(generation) ?? []) {
    const value = orderBy ? row.indexes.get(orderBy.index) : ''
    if (row.view === 'null' || value === undefined || !meets(row, where)) continue
    const candidate = { id, row, value }
    if (start === undefined || compare(candidate, start) > 0) found.push(candidate)
  }
  const page = found.sort(compare).slice(0, limit)
  const items = page.map(({ id, row }) => toStoredView({ name, generation, id }, row))
  const last = page.at(-1)
  if (last === undefined || found.length === page.length) return { items }
  return { items, next: orderBy ? { id: last.id, value: last.value } : { id: last.id } }
}

function meets(row: ViewRow, where: ViewFind['where']): boolean {
  return where.every(({ index, is, value }) => {
    const own = row.indexes.get(index)
    if (own === undefined) return false
    const order = compareBytes(own, value)
    if (is === '=') return order === 0
    if (is === '<') return order < 0
    if (is === '<=') return order <= 0
    if (is === '>') return order > 0
    return order >= 0
  })
}
