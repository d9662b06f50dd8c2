import type { Rejected } from '../aggregate-handle.ts'
import { ValidationError } from '../errors.ts'
import type { Metadata } from '../event-envelope.ts'
import type { ExecuteOptions } from '../execution/call.ts'
import { checkFunction, checkOptions } from '../util/options.ts'
import { type BatchResponse, failuresOf, recordsOf, tell } from './batch.ts'
import { commandOf, type SqsMessage } from './sqs-command.ts'
import { type LambdaContext, withinTime } from './time.ts'

/** The part of an app that is needed; an app of `createApp` has it. */
export interface CommandApp {
  readonly aggregates: Readonly<
    Record<
      string,
      {
        execute(
          id: string,
          command: { readonly type: string; readonly data?: unknown },
          options?: ExecuteOptions,
        ): Promise<{ readonly ok: true } | Rejected<string, unknown>>
      }
    >
  >
}

/** A batch of SQS messages. */
export interface SqsEvent {
  readonly Records: readonly SqsMessage[]
}

/** Options of `onSqs`. */
export interface SqsOptions {
  /** Metadata of the command, which overrides that of the message. Default: none. */
  readonly metadata?: (message: SqsMessage) => Metadata | Promise<Metadata>
  /**
   * Called and awaited when a command is rejected. If it throws, the message fails. Default: none.
   */
  readonly onRejected?: (rejected: Rejected<string, unknown>, message: SqsMessage) => unknown
  /**
   * Called with the error of a failed message, and awaited while there is time. Default:
   * `console.error`.
   */
  readonly onFailure?: (error: unknown, message: SqsMessage) => unknown
}

/**
 * Makes a Lambda function that executes commands from an SQS queue, each stored once.
 *
 * The idempotency key is that of the message, else its `messageId`: a redelivered command is not
 * stored again. Turn on `ReportBatchItemFailures`: only failed messages are redelivered, and end in
 * the dead-letter queue.
 *
 * A rejection is not a failure. An invalid message, an exception and a lack of time are failures.
 * In a FIFO queue the commands of a group run one after another. After a failure the rest of the
 * group fails without running.
 *
 * @throws DefinitionError for wrong options, and from the function for an event of another source
 *
 * @example
 * ```ts
 * import { createApp, defineAggregate, noData } from 'cqrs-es'
 * import { onSqs } from 'cqrs-es/lambda'
 * import { memoryStore } from 'cqrs-es/memory'
 *
 * const door = defineAggregate({
 *   type: 'door',
 *   events: { Opened: noData },
 *   commands: { Open: noData },
 *   initialState: () => ({ open: false }),
 * }).implement({
 *   handle: { Open: (state) => (state.open ? undefined : { type: 'Opened' }) },
 *   apply: { Opened: () => ({ open: true }) },
 * })
 * const app = createApp({ store: memoryStore(), aggregates: { door } })
 *
 * export const handler = onSqs(app)
 *
 * const body = JSON.stringify({ aggregate: 'door', id: 'front', command: { type: 'Open' } })
 * console.log(await handler({ Records: [{ messageId: 'm-1', body }] })) // { batchItemFailures: [] }
 * ```
 */
export function onSqs(
  app: CommandApp,
  options: SqsOptions = {},
): (event: SqsEvent, context?: LambdaContext) => Promise<BatchResponse> {
  checkOptions('onSqs', options, ['metadata', 'onRejected', 'onFailure'])
  for (const [name, option] of Object.entries(options)) if (option !== undefined) checkFunction(`onSqs: ${name}`, option)
  const { metadata, onRejected, onFailure = report } = options
  const execute = async (message: SqsMessage, signal: AbortSignal) => {
    const { aggregate, id, command, options } = commandOf(message, await metadata?.(message))
    const handle = Object.hasOwn(app.aggregates, aggregate) ? app.aggregates[aggregate] : undefined
    if (handle === undefined)
      throw new ValidationError(`SQS message '${message.messageId}': this app has no aggregate '${aggregate}'.`)
    const result = await handle.execute(id, command, { ...options, signal })
    if (!result.ok) await onRejected?.(result, message)
  }
  return async (event, context) => {
    const messages = recordsOf('onSqs', 'aws:sqs', event)
    const failed = new Map<SqsMessage, unknown>()
    await withinTime(context, (begin) => {
      const runGroup = async (group: readonly SqsMessage[]) => {
        let first: SqsMessage | undefined
        for (const message of group)
          try {
            if (first !== undefined)
              throw new Error(`Not executed: the earlier message '${first.messageId}' of its group failed.`)
            await begin((signal) => execute(message, signal))
          } catch (error) {
            first ??= message
            failed.set(message, error)
          }
      }
      return Promise.all(groupsOf(messages).map(runGroup))
    })
    await tell('onSqs', [...failed], context, ([message, error]) => onFailure(error, message))
    return failuresOf(
      'onSqs',
      messages.flatMap((message) => (failed.has(message) ? [message.messageId] : [])),
    )
  }
}

const report = (error: unknown, { messageId }: SqsMessage) => console.error(`SQS message '${messageId}' has failed:`, error)

/** Groups the messages of a FIFO queue. Groups of a standard queue exist for fairness only. */
function groupsOf(messages: readonly SqsMessage[]): readonly (readonly SqsMessage[])[] {
  const groups = new Map<string | SqsMessage, SqsMessage[]>()
  for (const message of messages) {
    const { attributes, eventSourceARN = '.fifo' } = message
    const key = (eventSourceARN.endsWith('.fifo') ? attributes?.MessageGroupId : undefined) ?? message
    groups.set(key, [...(groups.get(key) ?? []), message])
  }
  return [...groups.values()]
}
