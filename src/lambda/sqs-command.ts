import { ValidationError } from '../errors.ts'
import type { Metadata } from '../event-envelope.ts'
import type { ExecuteOptions } from '../execution/call.ts'
import { parseReceived } from '../store/exact-json.ts'
import { issuesText, notJsonIssue } from '../util/issues.ts'
import { isObject, toJson } from '../util/json.ts'
import { unknownKey } from '../util/options.ts'

/** The used part of an SQS message, as Lambda delivers it. */
export interface SqsMessage {
  readonly messageId: string
  /** JSON: `{ aggregate, id, command, metadata?, idempotencyKey?, expectedSequence? }`. */
  readonly body: string
  readonly attributes?: {
    /** Number of deliveries, including this one. */
    readonly ApproximateReceiveCount?: string | undefined
    readonly AWSTraceHeader?: string | undefined
    /** Group of a FIFO queue, within which order is kept. */
    readonly MessageGroupId?: string | undefined
    readonly SenderId?: string | undefined
    readonly SentTimestamp?: string | undefined
  }
  readonly messageAttributes?: Readonly<Record<string, { readonly stringValue?: string | undefined }>>
  readonly eventSourceARN?: string
}

/** A command from a message. The aggregate's handle checks its contents. */
export interface QueuedCommand {
  readonly aggregate: string
  readonly id: string
  readonly command: { readonly type: string; readonly data?: unknown }
  readonly options: ExecuteOptions
}

const known = ['aggregate', 'id', 'command', 'metadata', 'idempotencyKey', 'expectedSequence']

/**
 * Reads the command of a message. `added` metadata overrides that of the message.
 *
 * @throws ValidationError when the message is not a command
 */
export function commandOf({ messageId, body }: SqsMessage, added: Metadata | undefined): QueuedCommand {
  const sent = parse(messageId, body)
  const surplus = unknownKey(sent, known)
  if (surplus !== undefined)
    throw new ValidationError(
      `SQS message '${messageId}' has the unknown property '${surplus}'. Its properties: ${known.join(', ')}.`,
    )
  checkJson(messageId, sent)
  const { aggregate, id, command, metadata = {}, idempotencyKey = messageId, expectedSequence } = sent
  if (typeof aggregate !== 'string') throw new ValidationError(`SQS message '${messageId}' does not name its aggregate.`)
  if (!isObject(metadata) || Array.isArray(metadata))
    throw new ValidationError(`SQS message '${messageId}': metadata must be an object.`)
  return { aggregate, id, command, options: { metadata: { ...metadata, ...added }, idempotencyKey, expectedSequence } }
}

/**
 * Refuses JSON that data cannot hold: numbers beyond JavaScript's, texts that no store keeps.
 *
 * @throws ValidationError
 */
function checkJson(messageId: string, sent: unknown): void {
  try {
    toJson(sent)
  } catch (error) {
    const issue = notJsonIssue(error)
    throw new ValidationError(`SQS message '${messageId}' is invalid: ${issuesText([issue])}.`, [issue], error)
  }
}

function parse(messageId: string, body: string): QueuedCommand & ExecuteOptions {
  let sent: unknown
  try {
    sent = parseReceived(body)
  } catch (error) {
    if (error instanceof ValidationError)
      throw new ValidationError(`SQS message '${messageId}' is invalid: ${error.message}`, error.issues)
    throw new ValidationError(`SQS message '${messageId}' is not JSON.`, undefined, error)
  }
  if (!isObject(sent) || Array.isArray(sent))
    throw new ValidationError(`SQS message '${messageId}' is not a command { aggregate, id, command: { type, data } }.`)
  return sent as QueuedCommand & ExecuteOptions
}
