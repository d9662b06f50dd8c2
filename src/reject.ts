import { isObject } from './util/json.ts'

/** The domain said no: what `reject` makes, and what a handler returns instead of events. */
export interface Rejection<R extends string = string, D = unknown> {
  /** The reason. */
  readonly '~rejected': R
  /** `undefined` when none were given. */
  readonly details: D
}

/**
 * Refuses a command: return it from a handler. The caller gets `{ ok: false, reason, details }`; nothing is stored.
 *
 * `reason` is what the caller's types narrow on; `details` is any value that helps to show why.
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

/** By shape, so that it also works when two copies of the package are loaded. */
export const isRejection = (value: unknown): value is Rejection =>
  isObject(value) && typeof (value as Rejection)['~rejected'] === 'string'
