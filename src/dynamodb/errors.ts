import { type CqrsError, isCqrsError, messageOf, StoreError, type StoreErrorCode } from '../errors.ts'
import type { ReadItem } from './client.ts'

/** What the SDK puts on its errors, as far as we look. Message texts are for people only. */
interface SdkError {
  readonly name?: unknown
  readonly code?: unknown
  readonly $metadata?: { readonly httpStatusCode?: unknown; readonly attempts?: unknown }
  /** Of a `ConditionalCheckFailedException`: the item in the way. */
  readonly Item?: ReadItem
  /** Of a `TransactionCanceledException`: one per action, in their order. */
  readonly CancellationReasons?: readonly { readonly Code?: string; readonly Item?: ReadItem }[]
}

type Answer = readonly [StoreErrorCode, string]

const throttled: Answer = [
  'STORE_BUSY',
  'DynamoDB throttles the requests: the capacity of a table, a partition or the account is used up.',
]
const conflicting: Answer = ['STORE_BUSY', 'Another transaction is working on the same items in DynamoDB.']
const credentials: Answer = ['STORE_UNAVAILABLE', 'AWS does not accept the credentials of the client, or there are none.']
const unreachable: Answer = ['STORE_UNAVAILABLE', 'DynamoDB could not be reached.']

/**
 * By the error's name, by a cancellation reason's code, by the `code` of Node's own errors. From the API reference of each operation and
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html.
 */
const answers: ReadonlyMap<string, Answer> = new Map([
  [
    'ResourceNotFoundException',
    ['SCHEMA_MISSING', 'A table of the store is not there in DynamoDB: call createSchema(), or make it by your own means.'],
  ],
  ['ProvisionedThroughputExceededException', throttled],
  ['ProvisionedThroughputExceeded', throttled],
  ['ThrottlingException', throttled],
  ['ThrottlingError', throttled],
  ['RequestLimitExceeded', throttled],
  ['TransactionConflictException', conflicting],
  ['TransactionConflict', conflicting],
  ['TransactionInProgressException', conflicting],
  ['ReplicatedWriteConflictException', conflicting],
  ['LimitExceededException', ['STORE_BUSY', 'DynamoDB works on as many tables of the account as it can at once.']],
  ['ResourceInUseException', ['STORE_BUSY', 'The table is being changed in DynamoDB.']],
  [
    'ItemCollectionSizeLimitExceededException',
    ['STORE_LIMIT', 'The items of one partition key are over the limit of a local index.'],
  ],
  ['ItemCollectionSizeLimitExceeded', ['STORE_LIMIT', 'The items of one partition key are over the limit of a local index.']],
  ['AccessDeniedException', ['STORE_FAILED', 'IAM does not allow the client this operation on a table of the store.']],
  ['CredentialsProviderError', credentials],
  ['UnrecognizedClientException', credentials],
  ['InvalidSignatureException', credentials],
  ['IncompleteSignatureException', credentials],
  ['MissingAuthenticationTokenException', credentials],
  ['ExpiredTokenException', credentials],
  ['InternalServerError', ['STORE_UNAVAILABLE', 'DynamoDB had an internal error.']],
  ['ServiceUnavailable', unreachable],
  ['TimeoutError', unreachable],
  ['AbortError', unreachable],
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'].map(
    (code) => [code, unreachable] as const,
  ),
])

/** Connections that were never made. */
const neverSent: ReadonlySet<unknown> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'])

/** What the SDK threw as an error of ours; one of ours stays as it is. */
export function toStoreError(error: unknown): CqrsError {
  if (isCqrsError(error)) return error
  const answer = answerOf(asSdkError(error))
  return answer === undefined
    ? new StoreError('STORE_FAILED', `DynamoDB refused a request of the store: ${messageOf(error)}`, error)
    : new StoreError(answer[0], `${answer[1]} (${messageOf(error)})`, error)
}

/**
 * What the SDK threw on a stream. From the API reference of `GetShardIterator` and `GetRecords`: of both the stream and the shard it says that they are not
 * found, and a sequence number that is none of the shard's is no valid one.
 */
export function toStreamError(error: unknown): CqrsError {
  const { name } = asSdkError(error)
  const forgotten =
    name === 'TrimmedDataAccessException' || name === 'ResourceNotFoundException' || name === 'ValidationException'
  if (forgotten)
    return new StoreError('STORE_BEHIND', `DynamoDB has forgotten a part of the stream of events. (${messageOf(error)})`, error)
  return name === 'LimitExceededException' ? busyStream(error) : toStoreError(error)
}

/** What the SDK threw when it was asked for the shards of the stream that the table has. */
export const toShardsError = (error: unknown): CqrsError =>
  asSdkError(error).name === 'LimitExceededException' ? busyStream(error) : toStoreError(error)

const busyStream = (error: unknown): CqrsError =>
  new StoreError('STORE_BUSY', `DynamoDB throttles the readers of the stream of events. (${messageOf(error)})`, error)

/** The records at a place in a shard are gone. */
export const isTrimmed = (error: unknown): boolean => asSdkError(error).name === 'TrimmedDataAccessException'

/** A place in a shard can be used for 15 minutes. */
export const isExpiredIterator = (error: unknown): boolean => asSdkError(error).name === 'ExpiredIteratorException'

/**
 * Whether a write that ended with this error has surely not been done and will not be. When the SDK has tried more than once by itself, one of the
 * tries before may have got through.
 */
export function surelyRefused(error: unknown): boolean {
  if (isCqrsError(error)) return true
  const { name, code, $metadata } = asSdkError(error)
  if (name === 'CredentialsProviderError') return true
  if ($metadata?.attempts !== undefined && $metadata.attempts !== 1) return false
  if (neverSent.has(code)) return true
  const status = $metadata?.httpStatusCode
  return typeof status === 'number' && status >= 400 && status < 500 && status !== 408
}

/** The actions whose conditions did not hold, by number, each with its item where that was asked for; `undefined` when it was not about conditions. */
export function failedConditions(error: unknown): ReadonlyMap<number, ReadItem> | undefined {
  const { name, Item, CancellationReasons = [] } = asSdkError(error)
  if (name === 'ConditionalCheckFailedException') return new Map([[0, Item ?? {}]])
  if (name !== 'TransactionCanceledException') return undefined
  const failed = CancellationReasons.flatMap((reason, i) =>
    reason.Code === 'ConditionalCheckFailed' ? [[i, reason.Item ?? {}] as const] : [],
  )
  return failed.length === 0 ? undefined : new Map(failed)
}

/** A query names an index that is not there or not yet filled: DynamoDB has no code of its own for that. */
export const isValidationError = (error: unknown): boolean => asSdkError(error).name === 'ValidationException'

/** A table that is there already, or being made by another. */
export const isInUse = (error: unknown): boolean => asSdkError(error).name === 'ResourceInUseException'

/** A change of a table that is there already, or being made by another. */
export const isBegun = (error: unknown): boolean => begun.has(asSdkError(error).name)
const begun: ReadonlySet<unknown> = new Set(['ResourceInUseException', 'LimitExceededException', 'ValidationException'])

function answerOf({ name, code, $metadata, CancellationReasons }: SdkError): Answer | undefined {
  if (name === 'TransactionCanceledException') {
    const known =
      CancellationReasons?.map((reason) => answers.get(reason.Code ?? '')).filter((answer) => answer !== undefined) ?? []
    const inOurWay = CancellationReasons?.some((reason) => reason.Code === 'ValidationError')
    return inOurWay ? undefined : (known.find(([kind]) => kind !== 'STORE_BUSY') ?? known[0])
  }
  const answer = answers.get(String(name)) ?? answers.get(String(code))
  if (answer !== undefined) return answer
  const status = $metadata?.httpStatusCode
  return typeof status === 'number' && status >= 500 ? unreachable : undefined
}

const asSdkError = (error: unknown): SdkError => (typeof error === 'object' && error !== null ? error : {})
