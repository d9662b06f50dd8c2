import { bytesOf, permanent, type Target } from '../publications/target.ts'
import { batchCalls, type CallOptions, defaultBytes, mostMessages } from './aws-batch.ts'
import { checkTargetOptions, checkText } from './options.ts'

/** The used part of an EventBridge client; `EventBridge` of the AWS SDK fits. */
export interface EventBridgeClient {
  putEvents(
    input: { Entries: { EventBusName: string; Source: string; DetailType: string; Detail: string; Time?: Date }[] },
    options?: CallOptions,
  ): Promise<{
    readonly Entries?:
      | readonly { readonly ErrorCode?: string | undefined; readonly ErrorMessage?: string | undefined }[]
      | undefined
  }>
}

/** Options of `eventBridge`. */
export interface EventBridgeOptions {
  /** Name or ARN of the event bus. */
  readonly bus: string
  /** Name of the target. Default: `eventBridge:<bus>`. */
  readonly name?: string
  /** Bytes of one batch. Default 262,144 (256 KiB). */
  readonly mostBytes?: number
}

/** Codes of entries that no retry can save. */
const hopeless = ['InvalidArgument', 'MalformedDetail']

/**
 * Publishes to an EventBridge bus. The detail of an event is the CloudEvent, in structured mode.
 *
 * EventBridge keeps no order and drops no repeats. Rules match `source` and `detail-type`, which
 * are the source and the type of the CloudEvent.
 *
 * @throws DefinitionError for wrong options
 *
 * @example
 * ```ts no-run
 * import { eventBridge, type EventBridgeClient } from 'cqrs-es/messaging'
 *
 * declare const client: EventBridgeClient // new EventBridge() of @aws-sdk/client-eventbridge
 *
 * export const target = eventBridge(client, { bus: 'shop' })
 * ```
 */
export function eventBridge(client: EventBridgeClient, options: EventBridgeOptions): Target {
  const { name, mostBytes } = checkTargetOptions('eventBridge', client, 'putEvents', options, ['bus'], defaultBytes)
  const { bus } = options
  checkText('eventBridge: bus', bus)
  return {
    name: name ?? `eventBridge:${bus.split('/').pop()}`,
    keeps: 'nothing',
    most: { messages: mostMessages, bytes: mostBytes },
    calls: batchCalls,
    // As EventBridge computes it: 14 for the time, and each text of the entry.
    sizeOf: (message) => 14 + bytesOf(message.source) + bytesOf(message.type) + bytesOf(JSON.stringify(message)),
    send: async (messages, { signal }) => {
      const entries = messages.map((message) => ({
        EventBusName: bus,
        Source: message.source,
        DetailType: message.type,
        Detail: JSON.stringify(message),
        ...(message.time === undefined ? {} : { Time: new Date(message.time) }),
      }))
      const { Entries = [] } = await client.putEvents({ Entries: entries }, { abortSignal: signal })
      return messages.map((_, i) => {
        const { ErrorCode, ErrorMessage } = Entries[i] ?? { ErrorCode: 'no answer' }
        if (ErrorCode === undefined) return undefined
        const message = `EventBridge refused the event: ${ErrorCode}${ErrorMessage === undefined ? '' : `, ${ErrorMessage}`}`
        return hopeless.includes(ErrorCode) ? permanent(message) : new Error(message)
      })
    },
  }
}
