import { type CqrsError, isCqrsError, messageOf, StoreError, type StoreErrorCode } from '../errors.ts'
import type { Failure } from '../sql/append.ts'

type Answer = readonly [StoreErrorCode, string]

/**
 * Code and message by SQLSTATE or its class. The store's functions raise `CQ…`.
 *
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const answers: Readonly<Record<string, Answer>> = {
  '08': ['STORE_UNAVAILABLE', 'The connection to Postgres failed.'],
  '22001': ['STORE_LIMIT', 'A value is too long for its column in Postgres. Nothing was stored.'],
  '22021': ['STORE_FAILED', 'A text does not fit the client_encoding of the Postgres connection. Set client_encoding to UTF8.'],
  '22P05': ['STORE_FAILED', 'A text does not fit the client_encoding of the Postgres connection. Set client_encoding to UTF8.'],
  '25006': [
    'STORE_READ_ONLY',
    'The Postgres server or transaction is read-only. Connect to the primary, with default_transaction_read_only off.',
  ],
  '25P03': ['STORE_UNAVAILABLE', 'Postgres ended the connection after idle_in_transaction_session_timeout.'],
  '28': ['STORE_UNAVAILABLE', 'Postgres refused the credentials of the connection.'],
  '3D000': ['STORE_UNAVAILABLE', 'The Postgres database does not exist.'],
  '3F000': ['SCHEMA_MISSING', 'The Postgres database lacks the schema of the store. Call createSchema().'],
  '25P02': [
    'STORE_FAILED',
    'Your transaction function continued after a failed statement. Rethrow the error, or use a savepoint.',
  ],
  '25P04': ['STORE_BUSY', 'Postgres ended the transaction after transaction_timeout. Retry later.'],
  '40': ['STORE_BUSY', 'Postgres rolled back the transaction because it conflicted with another one. Retry later.'],
  '42501': [
    'STORE_FAILED',
    'The Postgres role lacks a privilege that the store needs. Grant the privileges that the documentation of the store lists.',
  ],
  '42703': ['SCHEMA_MISSING', 'A table in Postgres lacks a column of the store. Call createSchema().'],
  '42704': ['SCHEMA_MISSING', 'The Postgres database lacks a part of the schema of the store. Call createSchema().'],
  '42883': ['SCHEMA_MISSING', 'The Postgres database lacks a function of the store. Call createSchema().'],
  '42P01': [
    'SCHEMA_MISSING',
    'The Postgres database lacks a table of the store. If it was dropped, restore it from a backup: createSchema() creates an empty one. Else call createSchema().',
  ],
  '53': ['STORE_UNAVAILABLE', 'Postgres is out of memory or connections. Retry later.'],
  '53100': ['STORE_FULL', 'The disk of the Postgres server is full.'],
  '54': ['STORE_LIMIT', 'A limit of Postgres was exceeded.'],
  '55P03': ['STORE_BUSY', 'Postgres did not grant a lock within lock_timeout. Retry later, or find the session that holds it.'],
  '57': ['STORE_UNAVAILABLE', 'The Postgres server ended the connection.'],
  '57014': ['STORE_BUSY', 'Postgres cancelled the statement: statement_timeout expired, or another session cancelled it.'],
  '57P03': ['STORE_UNAVAILABLE', 'The Postgres server is not ready. Retry later.'],
  '58': ['STORE_UNAVAILABLE', 'The Postgres server failed to read or write its files.'],
  CQ001: [
    'STORE_FAILED',
    'The store needs READ COMMITTED transactions, the default of Postgres. Set default_transaction_isolation for its role or connection.',
  ],
  CQ002: ['STORE_READ_ONLY', 'The Postgres server is a standby. Connect the store to the primary.'],
  CQ003: ['STORE_FAILED', "Postgres did not insert all rows. Look for a trigger or rule on the store's tables."],
  CQ005: [
    'STORE_FAILED',
    'The Postgres session would change texts. Set client_encoding to UTF8 for the role or connection of the store.',
  ],
  CQ006: [
    'STORE_FAILED',
    'Row-level security could hide rows of the store. Give its role BYPASSRLS, or disable row-level security on its tables.',
  ],
  CQ008: [
    'STORE_BEHIND',
    'The database has lost commits: the log no longer has an event that was read before, at this position:',
  ],
  CQ007: ['STORE_FAILED', 'The log in Postgres is not as createSchema() made it, so readers could miss events. Fix it with:'],
  XX: ['STORE_CORRUPT', 'Postgres found damaged data. Check the log of the server.'],
}

/**
 * States after which a transaction may have been committed: its confirmation got lost.
 *
 * A server that is not ready raises 57P03 before it takes a statement, so 57P03 is not listed.
 */
const uncertain: ReadonlySet<string> = new Set(['08', '40003', '57P01', '57P02', '57P05', '58', 'XX'])

/**
 * Codes of a connection that failed to open, so the statement was not sent.
 *
 * Others, such as EHOSTUNREACH, also occur on connections that were open.
 */
const neverSent: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'])

/** Translates a driver's error; returns an error of this package as it is. */
export function toStoreError(error: unknown): CqrsError {
  if (isCqrsError(error)) return error
  const message = messageOf(error)
  const state = sqlState(error)
  const answer = state === undefined ? undefined : (answers[state] ?? answers[state.slice(0, 2)])
  if (answer !== undefined) return new StoreError(answer[0], `${answer[1]} (${message})`, error)
  if (poolExhausted.test(message))
    return new StoreError(
      'STORE_UNAVAILABLE',
      `No pool connection became free within connectionTimeoutMillis. Raise the pool's max, or look for clients that are never released. (${message})`,
      error,
    )
  if (state === undefined)
    return new StoreError('STORE_UNAVAILABLE', `Postgres cannot be reached. Retry later. (${message})`, error)
  return new StoreError('STORE_FAILED', `Postgres refused a statement of the store: ${message}`, error)
}

/** Classifies the error of an append. */
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

/**
 * Invalid values, violated constraints, limits, and rows that a user's trigger refuses or skips.
 */
const mayBeOfOneMember = /^(22|23|53|54|P0|CQ003)/

/** SQLSTATE has five characters; codes of Node, such as ECONNRESET, are names. */
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

/**
 * Errors of pg and pg-pool without a code: no connection in time, a broken one, or an ended pool.
 */
const waitedInVain =
  /^(timeout exceeded when trying to connect|timeout expired|Connection terminated due to connection timeout|Client (was closed|has encountered a connection error) and is not queryable|Cannot use a pool after calling end on the pool)$/

function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
