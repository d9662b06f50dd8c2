import { isObject } from './util/json.ts'

/** A rejection by the domain: made by `reject`, returned by a handler instead of events. */
export interface Rejection<R extends string = string, D = unknown> {
  /** The reason. */
  readonly '~rejected': R
  /** The details, `undefined` without any. */
  readonly details: D
}

/**
 * Rejects a command: return the result from a handler. Nothing is stored.
 *
 * The caller receives `{ ok: false, reason, details }`. Its types narrow on `reason`; `details` is
 * any value that explains the rejection.
 *
 * @example
 * ```ts
 * import { reject } from 'cqrs-es'
 *
 * const withdraw = (balance: number, amount: number) =>
 *   balance < amount ? reject('insufficient-funds', { balance }) : { type: 'MoneyWithdrawn' as const, data: { amount } }
 * ```
 */
export function reject<const R extends string>(reason: R): Rejection<R, undefined>
export function reject<const R extends string, D>(reason: R, details: D): Rejection<R, D>
export function reject(reason: string, details?: unknown): Rejection {
  return { '~rejected': reason, details }
}

/** Checks the shape, so that it also works with two loaded copies of the package. */
export const isRejection = (value: unknown): value is Rejection =>
  isObject(value) && typeof (value as Rejection)['~rejected'] === 'string'
