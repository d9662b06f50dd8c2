import { ValidationError } from '../errors.ts'
import { encodeIndexValue, type IndexValue } from '../store/index-value.ts'
import { compareBytes } from '../store/order.ts'
import type { ViewFind } from '../store/store.ts'
import { isObject } from '../util/json.ts'
import { unknownKey } from '../util/options.ts'
import { indexValueProblem } from './fold.ts'
import type { ViewDefinition } from './view-definition.ts'

const ranges = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const

/** Encodes the conditions of a `where`. @throws ValidationError */
export function conditionsOf(view: ViewDefinition, method: string, where: unknown): ViewFind['where'] {
  const at = `View '${view.name}': ${method}`
  if (!isObject(where)) throw new ValidationError(`${at} takes an object of values by index.`)
  return Object.entries(where).flatMap(([index, condition]): ViewFind['where'] => {
    checkIndex(view, index)
    if (!isObject(condition)) return [{ index, is: '=' as const, value: encoded(at, index, condition) }]
    const surplus = unknownKey(condition, Object.keys(ranges))
    if (surplus !== undefined || Object.keys(condition).length === 0)
      throw new ValidationError(
        `${at}: the value of '${index}' must be a text, a finite number, a boolean or null, or a range of them: { gt, gte, lt, lte }.`,
      )
    return Object.entries(condition).flatMap(([is, value]) =>
      value === undefined ? [] : [{ index, is: ranges[is as keyof typeof ranges], value: encoded(at, index, value) }],
    )
  })
}

/** @throws ValidationError */
export function checkIndex(view: ViewDefinition, index: unknown): void {
  if (view.indexes.includes(index as string)) return
  throw new ValidationError(
    `View '${view.name}' has no index '${String(index)}'. Its indexes: ${view.indexes.join(', ') || 'none'}. Declare it in defineView({ indexes }).`,
  )
}

function encoded(at: string, index: string, value: unknown): string {
  const problem = indexValueProblem(value)
  if (problem !== undefined)
    throw new ValidationError(
      `${at}: the value of '${index}' ${problem}, not ${value === undefined ? 'undefined' : typeof value}.`,
    )
  return encodeIndexValue(value as IndexValue)
}

/**
 * Returns whether a row meets all conditions, comparing the bytes of encoded values as stores do.
 * An absent field meets none.
 */
export const meets = (where: ViewFind['where'], row: unknown): boolean =>
  where.every(({ index, is, value }) => {
    const own = isObject(row) && Object.hasOwn(row, index) ? (row as Record<string, unknown>)[index] : undefined
    if (own === undefined) return false
    const order = compareBytes(encodeIndexValue(own as IndexValue), value)
    return (order === 0 && is.includes('=')) || (order < 0 && is.startsWith('<')) || (order > 0 && is.startsWith('>'))
  })
