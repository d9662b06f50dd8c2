import { type Row, text, textOrNull, whole } from '../sql/columns.ts'
import { mostEvents, mostText } from '../sql/page.ts'
import type { EventRow } from '../sql/rows.ts'
import type { Connection } from './connection.ts'
import * as statements from './statements.ts'

/**
 * Reads rows after the last one, step by step, until the page has enough events or text.
 *
 * SQLite scans a whole text to find its length, so the first step is small. Each step is eight
 * times as large as the one before, so that many short rows take few statements.
 */
export function readPage(connection: Connection, limit: number, read: (last: EventRow | undefined, limit: number) => Row[]) {
  const most = Math.min(limit, mostEvents)
  const page: EventRow[] = []
  let length = 0
  for (let step = 32; ; step *= 8) {
    const asked = Math.min(step, most + 1 - page.length)
    const rows = read(page.at(-1), asked)
    for (const row of rows) {
      if (page.length === most) return { rows: page, more: true }
      const event = complete(connection, row)
      length += text(event, 'payload').length + text(event, 'metadata').length
      if (length > mostText && page.length > 0) return { rows: page, more: true }
      page.push(event)
    }
    if (rows.length < asked) return { rows: page, more: false }
  }
}

/** Adds the texts that the query omitted for their length. */
function complete(connection: Connection, row: Row): EventRow {
  if (textOrNull(row, 'payload') !== null && textOrNull(row, 'metadata') !== null) return row
  return { ...row, ...connection.always(statements.readTexts, whole(row, 'position')) }
}
