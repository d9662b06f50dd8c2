import type { AnyAggregate } from '../aggregate.ts'
import type { SchemaOutput, Shapes } from '../message.ts'
import type { CloudEvent } from '../publications/cloud-event.ts'
import type { SendTo } from '../send-to.ts'
import { buildInbox, checkInboxOptions } from './build-inbox.ts'
import type { InboxDefinition } from './inbox-definition.ts'
import { receiving } from './receive.ts'

/** Options of `defineInbox`. */
export interface InboxOptions<N extends string, M extends Shapes, C extends readonly AnyAggregate[]> {
  /** Name of the inbox, for messages of errors and `asyncApi`. */
  readonly name: N
  /** Schema of the data by CloudEvents type. Other types are ignored. */
  readonly messages: M
  /** Aggregates that the inbox sends commands to. */
  readonly sends: C
  /** CloudEvents sources to accept; others are ignored. Default: all. */
  readonly sources?: readonly string[]
}

/** A declared inbox without its mappings. */
export interface InboxDeclaration<N extends string, M extends Shapes, C extends readonly AnyAggregate[]> {
  /**
   * Adds the mappings: one function per message type, from a message to one command. `undefined`
   * ignores the message. A function must be pure: it may run several times for one message.
   *
   * @throws DefinitionError for a missing, misspelt or extra function
   */
  implement(
    mappings: {
      readonly [K in keyof M & string]: (message: CloudEvent<K, SchemaOutput<M[K]>>) => SendTo<C[number]> | undefined
    },
  ): Inbox<N>
}

/** An inbox, for `createApp`. Made by `defineInbox(…).implement(…)`. */
export interface Inbox<N extends string = string> {
  /** Name of the inbox. */
  readonly name: N
  /** @internal */
  readonly '~definition': InboxDefinition
}

/**
 * Declares an inbox: messages of other systems, each mapped to one command.
 *
 * The command is executed under an idempotency key made of the `source` and `id` of the message, so
 * a redelivery is not stored again. Pass it to `createApp({ inboxes })`, and call
 * `app.inboxes.x.receive` for each message.
 *
 * @throws DefinitionError for a misspelt option or an invalid schema
 *
 * @example
 * ```ts
 * import { createApp, defineAggregate, typed } from 'cqrs-es'
 * import { memoryStore } from 'cqrs-es/memory'
 * import { cloudEventFrom, defineInbox } from 'cqrs-es/messaging'
 *
 * const payment = defineAggregate({
 *   type: 'payment',
 *   events: { PaymentRecorded: typed<{ amount: number }>() },
 *   commands: { RecordPayment: typed<{ amount: number }>() },
 *   initialState: () => ({}),
 * }).implement({
 *   handle: { RecordPayment: (_, data) => ({ type: 'PaymentRecorded', data }) },
 *   apply: { PaymentRecorded: (state) => state },
 * })
 *
 * const payments = defineInbox({
 *   name: 'payments',
 *   messages: { 'com.psp.captured.v1': typed<{ reference: string; amount: number }>() },
 *   sends: [payment],
 * }).implement({
 *   'com.psp.captured.v1': ({ data: { reference, amount } }) => ({
 *     to: 'payment',
 *     id: reference,
 *     type: 'RecordPayment',
 *     data: { amount },
 *   }),
 * })
 *
 * const app = createApp({ store: memoryStore(), aggregates: { payment }, inboxes: { payments } })
 * const event = { specversion: '1.0', id: 'e-1', source: '/psp', type: 'com.psp.captured.v1' }
 * const body = JSON.stringify({ ...event, data: { reference: 'r-1', amount: 9 } })
 * console.log(await app.inboxes.payments.receive(cloudEventFrom.sqs({ body }))) // { outcome: 'stored' }
 * console.log(await app.inboxes.payments.receive(cloudEventFrom.sqs({ body }))) // { outcome: 'repeated' }
 * await app.close()
 * ```
 */
export function defineInbox<const N extends string, const M extends Shapes, const C extends readonly AnyAggregate[]>(
  options: InboxOptions<N, M, C>,
): InboxDeclaration<N, M, C> {
  const checked = checkInboxOptions(options)
  return {
    implement: (mappings) => ({ name: options.name, '~definition': buildInbox(checked, mappings, receiving) }),
  }
}
