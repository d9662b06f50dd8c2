import { DefinitionError, messageOf } from '../errors.ts'
import type { CloudEvent } from '../publications/cloud-event.ts'
import { bytesOf, type Target } from '../publications/target.ts'
import { sha256 } from '../util/digest.ts'
import { checkFunction, checkOptions } from '../util/options.ts'
import { structuredType } from './headers.ts'
import { commonOf } from './options.ts'

/** The used part of a confirm channel; that of amqplib fits. `Content` is a `Buffer` of Node. */
export interface RabbitConfirmChannel<Content = never> {
  publish(
    exchange: string,
    routingKey: string,
    content: Content,
    options: { messageId: string; persistent: boolean; contentType: string; type: string; timestamp: number },
    done: (error: unknown) => void,
  ): boolean
}

/** Options of `rabbit`. */
export interface RabbitOptions {
  /** Exchange; `''` is the default exchange. */
  readonly exchange: string
  /** Returns the routing key of a message. Default: its type. */
  readonly routingKey?: (message: CloudEvent) => string
  /** Name of the target. Default: `rabbit:<exchange>`. */
  readonly name?: string
  /** Bytes of the messages that wait for a confirm. Default 1,000,000. */
  readonly mostBytes?: number
}

/**
 * Publishes to RabbitMQ through a confirm channel, persistent and in structured mode.
 *
 * Up to 256 messages of different keys wait for their confirms at a time, so that those of one
 * `partitionkey` stay in order. A message that the broker rejects is retried. RabbitMQ does not
 * drop repeats: consumers do, by `messageId`, the id of the event or the SHA-256 of a longer one. It confirms a message that no queue receives, so bind
 * a queue first. A closed channel stays closed: pass a function that returns an open one.
 *
 * @throws DefinitionError for wrong options, and a channel without confirms
 *
 * @example
 * ```ts no-run
 * import type { Buffer } from 'node:buffer'
 * import { rabbit, type RabbitConfirmChannel } from 'cqrs-es/messaging'
 *
 * declare const channel: RabbitConfirmChannel<Buffer> // await connection.createConfirmChannel()
 *
 * export const target = rabbit(channel, { exchange: 'orders' })
 * ```
 */
export function rabbit<Content>(
  channel: RabbitConfirmChannel<Content> | (() => RabbitConfirmChannel<Content> | Promise<RabbitConfirmChannel<Content>>),
  options: RabbitOptions,
): Target {
  if (typeof channel !== 'function') checkChannel(channel)
  checkOptions('rabbit', options, ['exchange', 'routingKey', 'name', 'mostBytes'])
  const { name, mostBytes } = commonOf('rabbit', options, 1_000_000)
  const { exchange, routingKey = ({ type }: CloudEvent) => type } = options
  if (typeof exchange !== 'string') throw new DefinitionError("rabbit: exchange must be a text; '' is the default exchange.")
  checkFunction('rabbit: routingKey', routingKey)
  return {
    name: name ?? `rabbit:${exchange}`,
    keeps: 'one-per-key',
    most: { messages: 256, bytes: mostBytes },
    send: async (messages) => {
      const open = typeof channel === 'function' ? await channel() : channel
      checkChannel(open)
      return Promise.all(messages.map((message) => publish(open, exchange, routingKey(message), message)))
    },
  }
}

/** Resolves with `undefined` or a rejection by the broker. Rejects when the channel is closed. */
async function publish<Content>(channel: RabbitConfirmChannel<Content>, exchange: string, key: string, message: CloudEvent) {
  const { id, type, time } = message
  const messageId = bytesOf(id) > mostIdBytes ? await sha256(id) : id
  const timestamp = Math.floor(Date.parse(time ?? '') / 1_000)
  const properties = { messageId, persistent: true, contentType: structuredType, type, timestamp }
  const content = toBuffer(JSON.stringify(message)) as Content
  return new Promise<unknown>((resolve, reject) => {
    channel.publish(exchange, key, content, properties, (error) => {
      if (!error) resolve(undefined)
      else if (/nack/i.test(messageOf(error))) resolve(new Error(`RabbitMQ rejected the message of event ${id} (basic.nack).`))
      else reject(error)
    })
  })
}

/** A short string of AMQP. */
const mostIdBytes = 255

function checkChannel(channel: unknown): void {
  const { publish, waitForConfirms } = (channel ?? {}) as Readonly<Record<string, unknown>>
  if (typeof publish === 'function' && typeof waitForConfirms === 'function') return
  throw new DefinitionError('rabbit: the channel must be made by createConfirmChannel(): others do not confirm messages.')
}

/** amqplib accepts only a `Buffer` of Node, which is no part of the language. */
function toBuffer(text: string): unknown {
  const { Buffer } = globalThis as { Buffer?: { from(text: string): unknown } }
  return Buffer === undefined ? new TextEncoder().encode(text) : Buffer.from(text)
}
