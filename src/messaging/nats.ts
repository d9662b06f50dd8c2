import type { CloudEvent } from '../publications/cloud-event.ts'
import type { Target } from '../publications/target.ts'
import { checkTargetOptions, checkTextOrFunction } from './options.ts'

/** The used part of a JetStream client; that of the package nats fits. */
export interface JetStream {
  publish(subject: string, payload?: Uint8Array, options?: { msgID: string }): Promise<unknown>
}

/** Options of `nats`. */
export interface NatsOptions {
  /** Subject of a stream, or a function that returns the subject of a message. */
  readonly subject: string | ((message: CloudEvent) => string)
  /** Name of the target. Default: `nats:<subject>`, or `nats` if `subject` is a function. */
  readonly name?: string
  /** Bytes of one message. Default 1,000,000, below the server's `max_payload`. */
  readonly mostBytes?: number
}

/** Messages in flight, of different keys. */
const calls = 64

/**
 * Publishes to a stream of NATS JetStream, in structured mode.
 *
 * Messages with one `partitionkey` are acknowledged one after another, so they stay in order. The
 * server drops repeats by their message id within the `duplicate_window` of the stream (2 minutes).
 *
 * @throws DefinitionError for wrong options
 *
 * @example
 * ```ts no-run
 * import { type JetStream, nats } from 'cqrs-es/messaging'
 *
 * declare const jetStream: JetStream // (await connect()).jetstream()
 *
 * export const target = nats(jetStream, { subject: 'orders' })
 * ```
 */
export function nats(client: JetStream, options: NatsOptions): Target {
  const { name, mostBytes } = checkTargetOptions('nats', client, 'publish', options, ['subject'], 1_000_000)
  const { subject } = options
  checkTextOrFunction('nats: subject', subject)
  const subjectOf = typeof subject === 'function' ? subject : () => subject
  const encoder = new TextEncoder()
  return {
    name: name ?? (typeof subject === 'function' ? 'nats' : `nats:${subject}`),
    keeps: 'one-per-key',
    most: { messages: 1, bytes: mostBytes },
    calls,
    send: async ([message]) => {
      if (message === undefined) return
      // The id of an event is unique in its source only.
      const msgID = `${message.source}/${message.id}`
      await client.publish(subjectOf(message), encoder.encode(JSON.stringify(message)), { msgID })
    },
  }
}
