import { ValidationError } from '../errors.ts'
import type { Metadata } from '../event-envelope.ts'
import { messageKeys } from '../message.ts'
import { issuesText, notJsonIssue } from '../util/issues.ts'
import { deepFreeze, isObject, toJson } from '../util/json.ts'
import { listOf, optional, readCallOptions, signalOption, unchecked, wholeNumberFrom, withDefault } from '../util/option-table.ts'
import { checkId, checkName, unknownKey } from '../util/options.ts'
import { refusing } from '../util/refusing.ts'
import type { Together } from './decided.ts'

/** Options of `execute`. */
export interface ExecuteOptions {
  /** Stored with each event of the command; JSON. Default `{}`. */
  readonly metadata?: Metadata | undefined
  /**
   * Key that makes it safe to repeat the command: 1–255 characters. The same command with the same
   * key is stored once per aggregate; a repeat returns the first outcome with `replayed: true`.
   * Costs one more read.
   */
  readonly idempotencyKey?: string | undefined
  /**
   * Sequence of the last event that the aggregate must have, else `ConflictError`. 0: it has none
   * yet.
   */
  readonly expectedSequence?: number | undefined
  /**
   * Aborts with the signal's reason before anything is stored. Once the append is in flight, its
   * outcome is returned. An abort during `waitFor` is a `NotYetError` whose `result` is that
   * outcome.
   */
  readonly signal?: AbortSignal | undefined
  /**
   * Views, by their names in the app, that show the stored events before `execute` returns. Inline
   * views always do.
   */
  readonly waitFor?: readonly string[] | undefined
  /** Time that `waitFor` waits before `NotYetError`. Default 10,000. */
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
  /** Rows of a process, which are stored with the command or refuse it. */
  readonly together?: Together
}

const noMetadata: Metadata = Object.freeze({})
const defaultTimeoutMs = 10_000
const optionsOfExecute = {
  metadata: withDefault<Metadata>(noMetadata, unchecked),
  idempotencyKey: optional<string>(checkName),
  expectedSequence: optional<number>(wholeNumberFrom(0)),
  signal: signalOption,
  waitFor: optional<readonly string[]>(listOf('a list of names of views')),
  timeoutMs: withDefault(defaultTimeoutMs, wholeNumberFrom(0)),
}

/** Returns a call of the library's own, whose rows are stored with the command or refuse it. */
export const callTogether = (
  call: Pick<Call, 'aggregateId' | 'command' | 'metadata' | 'signal'> & { together: Together },
): Call => ({
  ...call,
  idempotencyKey: undefined,
  expectedSequence: undefined,
  waitFor: undefined,
  timeoutMs: 0,
})

/** @throws ValidationError */
export function checkCall(
  aggregateType: string,
  aggregateId: unknown,
  command: unknown,
  options: ExecuteOptions | undefined,
): Call {
  const at = `execute on ${aggregateType}`
  checkId(at, aggregateId)
  if (!isObject(command) || typeof (command as { type?: unknown }).type !== 'string')
    throw new ValidationError(`${at} '${aggregateId}': a command must be an object { type, data }.`)
  const surplus = unknownKey(command, messageKeys)
  if (surplus !== undefined)
    throw new ValidationError(`${at} '${aggregateId}': a command has only type and data, not '${surplus}'.`)
  const read = options === undefined ? noOptions : readCallOptions(at, options, optionsOfExecute, `${at} '${aggregateId}'`)
  const { idempotencyKey, expectedSequence, signal, waitFor, timeoutMs } = read
  const metadata = read.metadata === noMetadata ? noMetadata : checkMetadata(`${at} '${aggregateId}'`, read.metadata)
  return {
    aggregateId,
    command: command as Call['command'],
    metadata,
    idempotencyKey,
    expectedSequence,
    signal,
    waitFor,
    timeoutMs,
  }
}

const noOptions = readCallOptions('execute', {}, optionsOfExecute)

function checkMetadata(at: string, metadata: unknown): Metadata {
  if (!isObject(metadata) || Array.isArray(metadata))
    throw refusing(new ValidationError(`${at}: metadata must be an object.`), metadata)
  try {
    return deepFreeze(toJson(metadata)) as Metadata
  } catch (error) {
    const issue = notJsonIssue(error)
    throw refusing(new ValidationError(`${at}: metadata is invalid: ${issuesText([issue])}.`, [issue], error), metadata)
  }
}
