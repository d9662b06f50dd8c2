import { conditionsByIndex, operators } from '../sql/conditions.ts'
import type { ViewFind } from '../store/store.ts'
import type { SqliteValue } from './client.ts'

/**
 * Returns the statement of a search and its values. Searches of the same shape share one statement.
 *
 * `i0`, `i1` … are the rows of the named indexes, `orderBy` first.
 */
export function findViewsStatement(find: ViewFind, generation: number): { sql: string; values: SqliteValue[] } {
  const { name, orderBy, after, limit } = find
  const indexes = conditionsByIndex(find)
  const lines: string[] = []
  const values: SqliteValue[] = []
  const add = (line: string, ...bound: SqliteValue[]) => {
    lines.push(line)
    values.push(...bound)
  }
  const id = indexes.size > 0 ? 'i0.view_id' : 'views.view_id'
  const order = orderBy ? `i0.value${orderBy.descending ? ' DESC' : ''}, ${id}` : id

  add(`SELECT views.view_id, views.generation, views.version, views.payload, views.sequence${orderBy ? ', i0.value' : ''}`)
  add(`FROM main.views${[...indexes.keys()].map((_, i) => `, main.view_indexes AS i${i}`).join('')}`)
  add("WHERE views.view_name = ? AND views.generation = ? AND views.payload <> 'null'", name, generation)
  let i = 0
  for (const [index, conditions] of indexes) {
    const row = `i${i++}`
    add(`AND ${row}.view_name = ? AND ${row}.generation = ? AND ${row}.index_name = ?`, name, generation, index)
    for (const { is, value } of conditions) add(`AND ${row}.value ${operators[is]} ?`, value)
    add(`AND ${row}.view_id = ${row === 'i0' ? 'views.view_id' : 'i0.view_id'}`)
  }
  if (after !== undefined && !orderBy) add(`AND ${id} > ?`, after.id)
  if (after !== undefined && orderBy) {
    const value = after.value ?? ''
    const past = orderBy.descending ? '<' : '>'
    add(`AND i0.value ${past}= ? AND (i0.value ${past} ? OR ${id} > ?)`, value, value, after.id)
  }
  add(`ORDER BY ${order} LIMIT ?`, limit)
  return { sql: lines.join('\n'), values }
}
