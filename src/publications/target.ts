import { DefinitionError } from '../errors.ts'
import { isObject } from '../util/json.ts'
import { checkFunction, checkName, checkWholeNumber } from '../util/options.ts'
import type { CloudEvent } from './cloud-event.ts'

/**
 * The destination of a publication. Made by `kafka`, `nats`, `rabbit`, `sqs`, `sns`, `eventBridge`
 * or `webhook`, or your own.
 *
 * @example
 * ```ts
 * import type { Target } from 'cqrs-es/messaging'
 *
 * export const console_: Target = {
 *   name: 'console',
 *   keeps: 'order',
 *   most: { messages: 100, bytes: 1_000_000 },
 *   send: async (messages) => {
 *     for (const { id, type } of messages) console.log(id, type)
 *   },
 * }
 * ```
 */
export interface Target {
  /** Name of the destination, 1–255 characters. Part of the name in the store. */
  readonly name: string
  /**
   * Order that one call keeps.
   *
   * * `'order'`: it takes all messages in order, or none.
   * * `'one-per-key'`: none, so a call has at most one message of each key.
   * * `'nothing'`: the destination has no order.
   */
  readonly keeps: 'order' | 'one-per-key' | 'nothing'
  /** Limits of one call. */
  readonly most: { readonly messages: number; readonly bytes: number }
  /** Calls in parallel, never two with the same key. Default 1, always 1 with `keeps: 'order'`. */
  readonly calls?: number
  /** Size of a message in a call. Default: bytes of the CloudEvent as JSON. */
  readonly sizeOf?: (message: CloudEvent) => number
  /**
   * Sends messages. Resolves once the destination has acknowledged them: with nothing, or with
   * `undefined` or an error for each message. Rejects if the destination cannot be reached: all
   * events wait. An error with `isPermanent: true` is not retried.
   */
  send(messages: readonly CloudEvent[], options: { readonly signal: AbortSignal }): Promise<SendResult>
}

/** Outcome of a `send`: nothing, or `undefined` or an error for each message. */
export type SendResult = void | readonly unknown[]

/** A message that the destination will never accept. */
export const permanent = (message: string): Error => Object.assign(new Error(message), { isPermanent: true })

export const isPermanent = (error: unknown): boolean =>
  isObject(error) && (error as { readonly isPermanent?: unknown }).isPermanent === true

/** @throws DefinitionError */
export function checkTarget(what: string, target: unknown): asserts target is Target {
  if (!isObject(target))
    throw new DefinitionError(`${what} must be a target, such as kafka(producer, { topic: 'orders' }) of cqrs-es/messaging.`)
  const { name, keeps, most, calls, sizeOf, send } = target as Partial<Target>
  checkName(`${what}: name`, name)
  if (keeps !== 'order' && keeps !== 'one-per-key' && keeps !== 'nothing')
    throw new DefinitionError(`${what}: keeps must be 'order', 'one-per-key' or 'nothing'.`)
  checkWholeNumber(`${what}: most.messages`, most?.messages, 1)
  checkWholeNumber(`${what}: most.bytes`, most?.bytes, 1)
  if (calls !== undefined) checkWholeNumber(`${what}: calls`, calls, 1)
  if (sizeOf !== undefined) checkFunction(`${what}: sizeOf`, sizeOf)
  checkFunction(`${what}: send`, send)
}

const encoder = new TextEncoder()

/** UTF-8 bytes of a text. */
export const bytesOf = (text: string): number => encoder.encode(text).length

export const sizeAsJson = (message: CloudEvent): number => bytesOf(JSON.stringify(message))
