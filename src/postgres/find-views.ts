import { conditionsByIndex, operators } from '../sql/conditions.ts'
import type { ViewFind } from '../store/store.ts'
import type { PostgresValue } from './client.ts'
import type { Statement } from './connection.ts'
import { inCheckedSession, indexKey } from './fragments.ts'
import type { Names } from './names.ts'
import { liveGeneration } from './statements.ts'

/**
 * Returns the statement of a search and its values.
 *
 * `i0`, `i1` … are the rows of the named indexes, `orderBy` first.
 */
export function findViewsStatement(n: Names, find: ViewFind): { statement: Statement; values: PostgresValue[] } {
  const { name, generation, orderBy, after, limit } = find
  const indexes = [...conditionsByIndex(find)]
  const lines: string[] = []
  const values: PostgresValue[] = []
  const bind = (value: PostgresValue) => `$${values.push(value)}`
  const id = indexes.length > 0 ? 'i0.view_id' : 'view.view_id'
  const order = orderBy ? `i0.value${orderBy.descending ? ' DESC' : ''}, ${id}` : id
  const view = bind(name)
  const asked = generation === 'live' ? `(SELECT ${liveGeneration(n, view)})` : `${bind(generation)}::bigint`

  lines.push(
    `SELECT view.view_id, view.generation::text, view.version::text, view.payload::text, view.sequence::text${orderBy ? ', i0.value' : ''}`,
  )
  lines.push(`FROM ${n.views} AS view${indexes.map((_, at) => `, ${n.indexes} AS i${at}`).join('')}`)
  lines.push(`WHERE view.view_name = ${view} AND view.generation = ${asked} AND view.payload::text <> 'null'`)
  for (const [at, [index, conditions]] of indexes.entries()) {
    lines.push(`AND i${at}.index_key = ${indexKey(`${view}::text`, `${bind(index)}::text`)} AND i${at}.generation = ${asked}`)
    for (const { is, value } of conditions) lines.push(`AND i${at}.value ${operators[is]} ${bind(value)}`)
    lines.push(`AND i${at}.view_id = ${at === 0 ? 'view.view_id' : 'i0.view_id'}`)
  }
  if (after !== undefined && !orderBy) lines.push(`AND ${id} > ${bind(after.id)}`)
  if (after !== undefined && orderBy) {
    const value = bind(after.value ?? '')
    const past = orderBy.descending ? '<' : '>'
    lines.push(`AND i0.value ${past}= ${value} AND (i0.value ${past} ${value} OR ${id} > ${bind(after.id)})`)
  }
  lines.push(`ORDER BY ${order} LIMIT ${bind(limit)}`)
  return { statement: { text: inCheckedSession(n, orderBy ? 6 : 5, lines.join('\n')) }, values }
}
