import { compareBytes, type ViewFind, type ViewPage } from 'cqrs-es/store'
import type { State } from './state.ts'

interface Place {
  readonly id: string
  /** By what it is ordered before its id; the same for all without `orderBy`. */
  readonly value: string
}

/** Looks at every row. */
export function findViews(state: State, { name, generation, where, orderBy, after, limit }: ViewFind): ViewPage {
  const direction = orderBy?.descending ? -1 : 1
  const compare = (a: Place, b: Place) => direction * compareBytes(a.value, b.value) || compareBytes(a.id, b.id)
  const start = after && { id: after.id, value: after.value ?? '' }
  const found = [...state.views(name, generation)].flatMap(([id, { stored, indexes }]) => {
    const value = orderBy ? indexes.get(orderBy.index) : ''
    if (stored.view === null || value === undefined || !where.every((condition) => holds(condition, indexes))) return []
    return start === undefined || compare({ id, value }, start) > 0 ? [{ id, value, stored }] : []
  })
  const page = found.sort(compare).slice(0, limit)
  const items = page.map(({ stored }) => stored)
  const last = page.at(-1)
  if (last === undefined || page.length === found.length) return { items }
  return { items, next: orderBy ? { id: last.id, value: last.value } : { id: last.id } }
}

/** A view without a value for the index does not meet the condition. */
function holds({ index, is, value }: ViewFind['where'][number], indexes: ReadonlyMap<string, string>): boolean {
  const own = indexes.get(index)
  if (own === undefined) return false
  const order = compareBytes(own, value)
  return (is.includes('=') && order === 0) || (is.includes('<') && order < 0) || (is.includes('>') && order > 0)
}
