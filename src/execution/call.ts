import { ValidationError } from '../errors.ts'
import type { Metadata } from '../event-envelope.ts'
import { messageKeys } from '../message.ts'
import { issuesText, notJsonIssue } from '../util/issues.ts'
import { deepFreeze, isObject, toJson } from '../util/json.ts'
import { checkCallOptions, checkId, checkName, checkWholeNumber, unknownKey } from '../util/options.ts'
import { refusing } from '../util/refusing.ts'

/** What a caller may say besides the command. */
export interface ExecuteOptions {
  /** Stored with each event of the command; JSON. Default `{}`. */
  readonly metadata?: Metadata | undefined
  /**
   * Makes it safe to send the command again: the same key with the same command on the same aggregate is stored once, and a repeat returns
   * the first outcome with `replayed: true`. 1–255 characters. Costs one more read.
   */
  readonly idempotencyKey?: string | undefined
  /** Only when the aggregate's last event has this sequence, else `ConflictError`; 0 = it must not exist yet. */
  readonly expectedSequence?: number | undefined
  /**
   * Gives up before anything is stored, with the signal's reason. Once the append is under way its outcome is returned; while `waitFor` waits, giving up is `NotYetError`, whose
   * `result` is that outcome.
   */
  readonly signal?: AbortSignal | undefined
  /** Returns when these views (by their names in the app) show what was stored, so that the caller reads what it wrote. Inline views always do. */
  readonly waitFor?: readonly string[] | undefined
  /** For how long `waitFor` waits before `NotYetError`. Default 10,000. */
  readonly timeoutMs?: number | undefined
}

/** A call of `execute`, checked. */
export interface Call {
  readonly aggregateId: string
  readonly command: { readonly type: string; readonly data?: unknown }
  readonly metadata: Metadata
  readonly idempotencyKey: string | undefined
  readonly expectedSequence: number | undefined
  readonly signal: AbortSignal | undefined
  readonly waitFor: readonly string[] | undefined
  readonly timeoutMs: number
}

const optionNames = ['metadata', 'idempotencyKey', 'expectedSequence', 'signal', 'waitFor', 'timeoutMs']
const defaultTimeoutMs = 10_000

/** @throws ValidationError */
export function checkCall(
  aggregateType: string,
  aggregateId: unknown,
  command: unknown,
  options: ExecuteOptions = noOptions,
): Call {
  const at = `execute on ${aggregateType}`
  checkId(at, aggregateId)
  if (!isObject(command) || typeof (command as { type?: unknown }).type !== 'string')
    throw new ValidationError(`${at} '${aggregateId}': a command is an object with a type: { type: '…', data: … }.`)
  const surplus = unknownKey(command, messageKeys)
  if (surplus !== undefined) throw new ValidationError(`${at} '${aggregateId}': a command has a type and data, not '${surplus}'.`)
  checkCallOptions(at, options, optionNames)
  const { metadata, idempotencyKey, expectedSequence, signal, waitFor, timeoutMs = defaultTimeoutMs } = options
  if (idempotencyKey !== undefined) checkName(`${at} '${aggregateId}': idempotencyKey`, idempotencyKey, ValidationError)
  if (expectedSequence !== undefined)
    checkWholeNumber(`${at} '${aggregateId}': expectedSequence`, expectedSequence, 0, ValidationError)
  if (waitFor !== undefined && !Array.isArray(waitFor))
    throw new ValidationError(`${at} '${aggregateId}': waitFor must be a list of names of views.`)
  checkWholeNumber(`${at} '${aggregateId}': timeoutMs`, timeoutMs, 0, ValidationError)
  return {
    aggregateId,
    command: command as Call['command'],
    metadata: metadata === undefined ? noMetadata : checkMetadata(`${at} '${aggregateId}'`, metadata),
    idempotencyKey,
    expectedSequence,
    signal,
    waitFor,
    timeoutMs,
  }
}

const noOptions: ExecuteOptions = {}
const noMetadata: Metadata = Object.freeze({})

function checkMetadata(at: string, metadata: unknown): Metadata {
  if (!isObject(metadata) || Array.isArray(metadata))
    throw refusing(new ValidationError(`${at}: metadata must be an object.`), metadata)
  try {
    return deepFreeze(toJson(metadata)) as Metadata
  } catch (error) {
    const issue = notJsonIssue(error)
    throw refusing(new ValidationError(`${at}: metadata does not fit: ${issuesText([issue])}.`, [issue], error), metadata)
  }
}
