import type { Position } from '../event-envelope.ts'
import { textProblem } from './json.ts'

/** The longest id, type, name or key, in UTF-16 units: what every store can hold and index. */
export const maxNameLength = 255

/** `typeof`, but `null` is `'null'`. */
export const kindOf = (value: unknown): string => (value === null ? 'null' : typeof value)

/** The problem of an id, name or key, `undefined` if there is none. */
export function nameProblem(value: unknown): string | undefined {
  if (typeof value !== 'string') return `must be a text, not ${kindOf(value)}`
  if (value.length === 0) return 'must not be empty'
  if (value.length > maxNameLength) return `is ${value.length} characters long; the limit is ${maxNameLength}`
  const problem = textProblem(value)
  return problem === undefined ? undefined : `must not be a ${problem}`
}

/** The same for a type of aggregate, which is also part of keys and event ids. */
export const typeProblem = (value: unknown): string | undefined =>
  nameProblem(value) ?? (/[:/]/.test(value as string) ? "must not contain ':' or '/'" : undefined)

/** One text for an aggregate. It is unambiguous, because a type has no `/`. */
export const aggregateKey = (aggregateType: string, aggregateId: string): string => `${aggregateType}/${aggregateId}`

/** Whether it reads like the position of an event. */
export const isPosition = (value: unknown): value is Position => typeof value === 'string' && /^\d{1,32}$/.test(value)
