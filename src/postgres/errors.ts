import { type CqrsError, isCqrsError, messageOf, StoreError, type StoreErrorCode } from '../errors.ts'
import type { Failure } from '../sql/append.ts'

type Answer = readonly [StoreErrorCode, string]

/** By SQLSTATE, whole or its class, https://www.postgresql.org/docs/current/errcodes-appendix.html. `CQ…` are raised by the store's own functions. */
const answers: Readonly<Record<string, Answer>> = {
  '08': ['STORE_UNAVAILABLE', 'The connection to Postgres failed.'],
  '22001': ['STORE_LIMIT', 'A value is too long for its column.'],
  '22021': ['STORE_FAILED', 'A text does not fit the client_encoding of the connection to Postgres: set it to UTF8.'],
  '22P05': ['STORE_FAILED', 'A text does not fit the client_encoding of the connection to Postgres: set it to UTF8.'],
  '25006': [
    'STORE_READ_ONLY',
    'The Postgres server or transaction is read-only: the store needs the primary, and default_transaction_read_only off.',
  ],
  '25P03': ['STORE_UNAVAILABLE', 'Postgres ended the connection after idle_in_transaction_session_timeout.'],
  '28': ['STORE_UNAVAILABLE', 'Postgres refused the credentials.'],
  '3D000': ['STORE_UNAVAILABLE', 'The Postgres database does not exist.'],
  '3F000': ['SCHEMA_MISSING', 'The Postgres database lacks the schema of the store: call createSchema().'],
  '25P02': [
    'STORE_FAILED',
    'A statement of the function in the transaction failed, and the function went on: let its error through, or use a savepoint.',
  ],
  '25P04': ['STORE_BUSY', 'Postgres ended the transaction after transaction_timeout.'],
  '40': ['STORE_BUSY', 'Postgres gave up the transaction for the sake of another.'],
  '42501': ['STORE_FAILED', 'The Postgres role lacks a privilege that the store needs: see the grants on the page of the store.'],
  '42703': ['SCHEMA_MISSING', 'A table in Postgres lacks a column of the store: call createSchema().'],
  '42704': ['SCHEMA_MISSING', 'The Postgres database lacks something of the store: call createSchema().'],
  '42883': ['SCHEMA_MISSING', 'The Postgres database lacks a function of the store: call createSchema().'],
  '42P01': [
    'SCHEMA_MISSING',
    'The Postgres database lacks a table of the store: call createSchema(). It makes one that was dropped anew and empty: restore that from a backup before.',
  ],
  '53': ['STORE_UNAVAILABLE', 'Postgres is out of memory or connections.'],
  '53100': ['STORE_FULL', 'The disk of the Postgres server is full.'],
  '54': ['STORE_LIMIT', 'A limit of Postgres was exceeded.'],
  '55P03': ['STORE_BUSY', 'A lock in Postgres was not to be had within lock_timeout.'],
  '57': ['STORE_UNAVAILABLE', 'The Postgres server ended the connection.'],
  '57014': ['STORE_BUSY', 'Postgres cancelled the statement, for statement_timeout or at somebody’s request.'],
  '57P03': ['STORE_UNAVAILABLE', 'The Postgres server is not ready.'],
  '58': ['STORE_UNAVAILABLE', 'The Postgres server failed to read or write its files.'],
  CQ001: [
    'STORE_FAILED',
    "The store needs transactions that are READ COMMITTED, Postgres' default: set default_transaction_isolation for its role or connection.",
  ],
  CQ002: ['STORE_READ_ONLY', 'The Postgres server is a standby; the store needs the primary.'],
  CQ003: ['STORE_FAILED', 'Postgres did not store all rows: look for a trigger or a rule on the tables of the store.'],
  CQ005: [
    'STORE_FAILED',
    'The session of Postgres would change texts: set client_encoding to UTF8 for the role or connection of the store.',
  ],
  CQ006: [
    'STORE_FAILED',
    'Row-level security could hide rows of the store: give its role BYPASSRLS, or disable row level security on its tables.',
  ],
  CQ008: ['STORE_BEHIND', 'The database has lost commits: the log does not have the event that was read before. Its position:'],
  CQ007: ['STORE_FAILED', 'The log in Postgres is not as createSchema() made it, and events could be lost. To mend it:'],
  XX: ['STORE_CORRUPT', 'Postgres found damaged data: look into its log.'],
}

/**
 * After these a transaction of ours may have been committed all the same: what was said, or that it was said at all, got lost. Not among them is 57P03, with which
 * a server that is not ready ends a connection before it takes a statement.
 */
const uncertain: ReadonlySet<string> = new Set(['08', '40003', '57P01', '57P02', '57P05', '58', 'XX'])

/** Codes of a connection that was never there; the statement was not sent. Other codes, such as EHOSTUNREACH, are also those of one that was. */
const neverSent: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'])

/** What a driver threw as an error of ours; one of ours stays as it is. */
export function toStoreError(error: unknown): CqrsError {
  if (isCqrsError(error)) return error
  const message = messageOf(error)
  const state = sqlState(error)
  const answer = state === undefined ? undefined : (answers[state] ?? answers[state.slice(0, 2)])
  if (answer !== undefined) return new StoreError(answer[0], `${answer[1]} (${message})`, error)
  if (poolExhausted.test(message))
    return new StoreError(
      'STORE_UNAVAILABLE',
      `No connection of the pool came free within its connectionTimeoutMillis: is its max large enough, and is everything released that was taken from it? (${message})`,
      error,
    )
  if (state === undefined) return new StoreError('STORE_UNAVAILABLE', `Postgres cannot be reached. (${message})`, error)
  return new StoreError('STORE_FAILED', `Postgres refused a statement of the store: ${message}`, error)
}

/** A failed append: what it means for the commits that were sent. */
export function understand(error: unknown): Failure {
  const cause = toStoreError(error)
  const state = sqlState(error)
  const certain = state === undefined ? wasNeverSent(error) : !(uncertain.has(state) || uncertain.has(state.slice(0, 2)))
  return {
    cause,
    certain,
    again: certain && (state === '40001' || state === '40P01'),
    ofOneMember: certain && state !== undefined && mayBeOfOneMember.test(state),
  }
}

/** Bad values, constraints, limits, and what triggers of the user raise or leave out. */
const mayBeOfOneMember = /^(22|23|53|54|P0|CQ003)/

/** Postgres' five characters; Node's own codes, such as ECONNRESET, are words. */
function sqlState(error: unknown): string | undefined {
  const code = codeOf(error)
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]{4}$/.test(code) ? code : undefined
}

function wasNeverSent(error: unknown): boolean {
  const code = codeOf(error)
  if (code !== undefined && neverSent.has(code)) return true
  if (error instanceof Error && 'syscall' in error && error.syscall === 'connect') return true
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(wasNeverSent)
  return waitedInVain.test(messageOf(error))
}

const poolExhausted = /^timeout exceeded when trying to connect$/

/** pg and pg-pool have no codes for these: no connection was there in time, it was known to be broken, or the pool was ended before. */
const waitedInVain =
  /^(timeout exceeded when trying to connect|timeout expired|Connection terminated due to connection timeout|Client (was closed|has encountered a connection error) and is not queryable|Cannot use a pool after calling end on the pool)$/

function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
