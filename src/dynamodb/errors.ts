import { type CqrsError, isCqrsError, messageOf, StoreError, type StoreErrorCode } from '../errors.ts'
import type { ReadItem } from './client.ts'

/** The fields of SDK errors that the store reads. Message texts are not among them. */
interface SdkError {
  readonly name?: unknown
  readonly code?: unknown
  readonly $metadata?: { readonly httpStatusCode?: unknown; readonly attempts?: unknown }
  /** The existing item, in a `ConditionalCheckFailedException`. */
  readonly Item?: ReadItem
  /** One reason per action, in order, in a `TransactionCanceledException`. */
  readonly CancellationReasons?: readonly { readonly Code?: string; readonly Item?: ReadItem }[]
}

type Answer = readonly [StoreErrorCode, string]

const throttled: Answer = [
  'STORE_BUSY',
  'DynamoDB throttles the requests: the capacity of a table, a partition or the account is exhausted. Retry later.',
]
const conflicting: Answer = ['STORE_BUSY', 'Another transaction is using the same items in DynamoDB. Retry later.']
const credentials: Answer = ['STORE_UNAVAILABLE', 'The client has no credentials, or AWS does not accept them.']
const unreachable: Answer = ['STORE_UNAVAILABLE', 'DynamoDB could not be reached. Retry later.']

/**
 * Code and message by name of the error, code of a cancellation reason, or `code` of Node's errors.
 *
 * From the API reference of each operation and
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
 */
const answers: ReadonlyMap<string, Answer> = new Map([
  [
    'ResourceNotFoundException',
    [
      'SCHEMA_MISSING',
      'A table of the store does not exist in DynamoDB. Call createSchema(), or create it from tableDefinitions().',
    ],
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
  ['LimitExceededException', ['STORE_BUSY', 'DynamoDB is changing as many tables of the account as it can. Retry later.']],
  ['ResourceInUseException', ['STORE_BUSY', 'DynamoDB is changing the table. Retry later.']],
  [
    'ItemCollectionSizeLimitExceededException',
    ['STORE_LIMIT', 'The items of one partition key exceed the limit of a local index.'],
  ],
  ['ItemCollectionSizeLimitExceeded', ['STORE_LIMIT', 'The items of one partition key exceed the limit of a local index.']],
  ['AccessDeniedException', ['STORE_FAILED', 'IAM does not allow the client this operation on a table of the store.']],
  ['CredentialsProviderError', credentials],
  ['UnrecognizedClientException', credentials],
  ['InvalidSignatureException', credentials],
  ['IncompleteSignatureException', credentials],
  ['MissingAuthenticationTokenException', credentials],
  ['ExpiredTokenException', credentials],
  ['InternalServerError', ['STORE_UNAVAILABLE', 'DynamoDB had an internal error. Retry later.']],
  ['ServiceUnavailable', unreachable],
  ['TimeoutError', unreachable],
  ['AbortError', unreachable],
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'].map(
    (code) => [code, unreachable] as const,
  ),
])

/** Codes of connections that failed to open. */
const neverSent: ReadonlySet<unknown> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'])

/** Translates an error of the SDK; returns an error of this package as it is. */
export function toStoreError(error: unknown): CqrsError {
  if (isCqrsError(error)) return error
  const answer = answerOf(asSdkError(error))
  return answer === undefined
    ? new StoreError('STORE_FAILED', `DynamoDB refused a request of the store: ${messageOf(error)}`, error)
    : new StoreError(answer[0], `${answer[1]} (${messageOf(error)})`, error)
}

/**
 * Translates an error of the SDK on a stream.
 *
 * According to the API reference of `GetShardIterator` and `GetRecords`, "not found" may be the
 * stream or the shard, and a sequence number from another shard is invalid.
 */
export function toStreamError(error: unknown): CqrsError {
  const { name } = asSdkError(error)
  const forgotten =
    name === 'TrimmedDataAccessException' || name === 'ResourceNotFoundException' || name === 'ValidationException'
  if (forgotten)
    return new StoreError(
      'STORE_BEHIND',
      `DynamoDB has deleted a part of the stream of events. Read all aggregates to find what changed. (${messageOf(error)})`,
      error,
    )
  return name === 'LimitExceededException' ? busyStream(error) : toStoreError(error)
}

/** Translates an error of the SDK while listing the shards of the stream. */
export const toShardsError = (error: unknown): CqrsError =>
  asSdkError(error).name === 'LimitExceededException' ? busyStream(error) : toStoreError(error)

const busyStream = (error: unknown): CqrsError =>
  new StoreError(
    'STORE_BUSY',
    `DynamoDB throttles the readers of the stream of events. Retry later. (${messageOf(error)})`,
    error,
  )

/** Whether the records at a place in a shard are gone. */
export const isTrimmed = (error: unknown): boolean => asSdkError(error).name === 'TrimmedDataAccessException'

/** Whether an iterator has expired, which happens after 15 minutes. */
export const isExpiredIterator = (error: unknown): boolean => asSdkError(error).name === 'ExpiredIteratorException'

/**
 * Whether this error means that a write was not done, and will not be.
 *
 * If the SDK has retried by itself, an earlier attempt may have succeeded.
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

/**
 * The failed conditions, as existing items by number of the action.
 *
 * The item is only there if the action requests it. `undefined` if no condition failed.
 */
export function failedConditions(error: unknown): ReadonlyMap<number, ReadItem> | undefined {
  const { name, Item, CancellationReasons = [] } = asSdkError(error)
  if (name === 'ConditionalCheckFailedException') return new Map([[0, Item ?? {}]])
  if (name !== 'TransactionCanceledException') return undefined
  const failed = CancellationReasons.flatMap((reason, i) =>
    reason.Code === 'ConditionalCheckFailed' ? [[i, reason.Item ?? {}] as const] : [],
  )
  return failed.length === 0 ? undefined : new Map(failed)
}

/**
 * Whether a query may have named a missing or unfilled index: DynamoDB has no specific code for
 * that.
 */
export const isValidationError = (error: unknown): boolean => asSdkError(error).name === 'ValidationException'

/** Whether the table exists already, or another process is creating it. */
export const isInUse = (error: unknown): boolean => asSdkError(error).name === 'ResourceInUseException'

/** Whether the change of a table is done already, or another process is making it. */
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
