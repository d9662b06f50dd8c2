import { ValidationError } from '../errors.ts'
import { textProblem } from './json.ts'
import { checkId } from './options.ts'

/** The last row of a page: its id and, where there is an order, the value that it is ordered by. */
export interface LastRow {
  readonly id: string
  readonly value?: string
}

/** An id; with the value that it is ordered by, where there is an order. An id that could be taken for such a pair is put into a list of its own. */
export const toPageCursor = ({ id, value }: LastRow): string =>
  value === undefined && !id.startsWith('[') ? id : JSON.stringify(value === undefined ? [id] : [id, value])

/** @throws ValidationError for what is no cursor of this order */
export function parsePageCursor(at: string, after: unknown, isOrdered: boolean): LastRow {
  if (!isOrdered && !String(after).startsWith('[')) {
    checkId(`${at}: after`, after)
    return { id: after }
  }
  try {
    const [id, value] = JSON.parse(String(after)) as unknown[]
    if (typeof value !== (isOrdered ? 'string' : 'undefined')) throw new TypeError('another order')
    // A value that no store has cannot come from a page, and some stores fail at it.
    if (typeof value === 'string' && textProblem(value) !== undefined) throw new TypeError('no value')
    checkId(`${at}: after`, id)
    return typeof value === 'string' ? { id, value } : { id }
  } catch (error) {
    throw new ValidationError(`${at}: after must be the next of a page with the same order.`, undefined, error)
  }
}
