import { conditionsByIndex, operators } from '../sql/conditions.ts'
import type { ViewFind } from '../store/store.ts'
import type { Value } from './connection.ts'
import { indexKey, liveGeneration } from './fragments.ts'
import type { Names } from './names.ts'
import { reading } from './session.ts'

/**
 * Returns the statement of a search and its values.
 *
 * The rows of the named indexes are `i0`, `i1` …: `orderBy` first, else one with an `=`. The joins
 * are in that order, so that rows come from `i0` and the others are looked up. The index is forced:
 * MariaDB would otherwise scan all rows before the page.
 */
export function findViewsStatement(n: Names, find: ViewFind): { sql: string; values: Value[] } {
  const { name, generation, orderBy, after, limit } = find
  const indexes = [...conditionsByIndex(find)]
  const lines: string[] = []
  const values: Value[] = []
  const add = (line: string, ...bound: Value[]) => {
    lines.push(line)
    values.push(...bound)
  }
  const id = indexes.length > 0 ? 'i0.view_id' : 'v.view_id'
  const order = orderBy ? `i0.value${orderBy.descending ? ' DESC' : ''}, ${id}` : id
  const live = generation === 'live'
  const asked = live ? liveGeneration(n, '?') : '?'
  const askedValue = live ? name : generation

  const [first, ...others] = [...indexes.map((_, at) => `${n.indexes} AS i${at}`), `${n.views} AS v`]
  add(`FROM ${[`${first} FORCE INDEX (PRIMARY)`, ...others].join(' STRAIGHT_JOIN ')}`)
  add(`WHERE v.view_name = ? AND v.generation = ${asked} AND v.payload <> 'null'`, name, askedValue)
  for (const [at, [index, conditions]] of indexes.entries()) {
    const utf8 = 'CONVERT(? USING utf8mb4)'
    add(`AND i${at}.index_key = ${indexKey(utf8, utf8)} AND i${at}.generation = ${asked}`, name, name, index, askedValue)
    for (const { is, value } of conditions) add(`AND i${at}.value ${operators[is]} ?`, value)
    if (at > 0) add(`AND i${at}.view_id = i0.view_id AND i${at}.view_name = ?`, name)
  }
  if (indexes.length > 0) add('AND v.view_id = i0.view_id')
  if (after !== undefined && !orderBy) add(`AND ${id} > ?`, after.id)
  if (after !== undefined && orderBy) {
    const value = after.value ?? ''
    const past = orderBy.descending ? '<' : '>'
    add(`AND i0.value ${past}= ? AND (i0.value ${past} ? OR ${id} > ?)`, value, value, after.id)
  }
  add(`ORDER BY ${order} LIMIT ?`, limit)
  const columns = ['v.view_id', 'v.generation', 'v.version', 'CONVERT(v.payload USING utf8mb4) AS payload', 'v.sequence']
  return { sql: reading([...columns, ...(orderBy ? ['i0.value'] : [])], lines.join('\n')), values }
}
