import { type CqrsError, isCqrsError, messageOf, StoreError, type StoreErrorCode } from '../errors.ts'
import type { Failure } from '../sql/append.ts'
import { NotSentError } from './connection.ts'
import { lockTimeout, raised, serverError, transactionOpen, uncertain, worthAnother } from './error-numbers.ts'
import { UnreadableAnswer, unfit } from './session.ts'

type Answer = readonly [StoreErrorCode, string]

const away: Answer = ['STORE_UNAVAILABLE', 'The connection to the MySQL server failed.']
const refusedLogin: Answer = ['STORE_UNAVAILABLE', 'The MySQL server refused the credentials.']
const lacksTable: Answer = ['SCHEMA_MISSING', 'The MySQL database lacks a part of the schema of the store. Call createSchema().']
const lacksRight: Answer = [
  'STORE_FAILED',
  'The MySQL user lacks a privilege that the store needs. Grant the privileges that the documentation of the store lists.',
]
const full: Answer = ['STORE_FULL', 'The disk of the MySQL server, or a table, is full.']
const readOnly: Answer = ['STORE_READ_ONLY', 'The MySQL server is read-only. Connect the store to the primary.']
const crowded: Answer = ['STORE_BUSY', 'The MySQL server has no connection left. Retry later, or raise its connection limits.']
const damaged: Answer = ['STORE_CORRUPT', 'MySQL found damaged data. Check the log of the server.']
const stopped: Answer = [
  'STORE_BUSY',
  'The MySQL server cancelled the statement: a timeout expired, or another session cancelled it.',
]

/**
 * Code and message by error number. Those from 1900 to 2000 and from 4000 on are MariaDB's own.
 *
 * https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html
 */
const answers: Readonly<Record<number, Answer>> = {
  1021: full,
  1026: full,
  1040: crowded,
  1044: lacksRight,
  1045: refusedLogin,
  1046: ['SCHEMA_MISSING', 'No MySQL database is selected. Name one in the pool, or with the option "database".'],
  1049: ['SCHEMA_MISSING', 'The MySQL database does not exist. Create it, then call createSchema().'],
  1053: away,
  1054: lacksTable,
  1114: full,
  1129: refusedLogin,
  1130: refusedLogin,
  1142: lacksRight,
  1143: lacksRight,
  1146: lacksTable,
  1153: [
    'STORE_LIMIT',
    'The append is larger than max_allowed_packet of the MySQL server. Raise max_allowed_packet, or store less at once.',
  ],
  1158: away,
  1159: away,
  1160: away,
  1161: away,
  1176: lacksTable,
  1194: damaged,
  1195: damaged,
  1203: crowded,
  [lockTimeout]: [
    'STORE_BUSY',
    'MySQL did not grant a lock within innodb_lock_wait_timeout or lock_wait_timeout. Retry later, or find the session that holds it.',
  ],
  1213: ['STORE_BUSY', 'MySQL rolled back the transaction because of a deadlock with another one. Retry later.'],
  1226: crowded,
  1227: lacksRight,
  1290: readOnly,
  1305: lacksTable,
  1317: stopped,
  1318: lacksTable,
  1370: lacksRight,
  1406: ['STORE_LIMIT', 'A value is too long for its column in MySQL. Nothing was stored.'],
  1419: [
    'STORE_FAILED',
    'MySQL requires SUPER to create triggers while its binary log is on. Set log_bin_trust_function_creators, or create the schema as another user.',
  ],
  [transactionOpen]: [
    'STORE_FAILED',
    'A transaction of yours is open on a connection of the pool. Nothing was stored. End transactions before you release connections.',
  ],
  1712: damaged,
  1792: ['STORE_READ_ONLY', 'MySQL began a read-only transaction. Switch off transaction_read_only, or connect to the primary.'],
  1836: readOnly,
  1927: away,
  1969: stopped,
  2006: away,
  2013: away,
  3024: stopped,
  [raised.unplaced]: [
    'STORE_FAILED',
    'The last event of an aggregate was inserted by another program and has no position. Nothing was stored. Call createSchema() to number it. If that program still writes, set foreignWriters: true.',
  ],
  [raised.notStored]: [
    'STORE_FAILED',
    "MySQL did not insert all events. Nothing was stored. Look for a trigger on the store's tables.",
  ],
}

const mayBeOfOneMember: ReadonlySet<StoreErrorCode> = new Set(['STORE_FAILED', 'STORE_LIMIT', 'STORE_FULL'])

/** Translates a driver's error; returns an error of this package as it is. */
export function toStoreError(error: unknown): CqrsError {
  if (isCqrsError(error)) return error
  if (error instanceof NotSentError) return notSent(error)
  const number = serverError(error)
  const message = sayingOf(error)
  if (error instanceof UnreadableAnswer) return new StoreError('STORE_FAILED', message, error)
  if (number === undefined) return new StoreError('STORE_UNAVAILABLE', `${away[1]} (${message})`, error)
  if (number === raised.session) return new StoreError('STORE_FAILED', unfit(message), error)
  const answer = number === 1030 && /\b(28|ENOSPC)\b/.test(message) ? full : answers[number]
  if (answer !== undefined) return new StoreError(answer[0], `${answer[1]} (${message})`, error)
  return new StoreError('STORE_FAILED', `MySQL refused a statement of the store: ${message}`, error)
}

/** Classifies the error of an append. */
export function understand(error: unknown): Failure {
  const cause = toStoreError(error)
  if (cause === error || error instanceof NotSentError) return { cause, certain: true, again: false, ofOneMember: false }
  const number = serverError(error)
  const certain = number !== undefined && !uncertain.has(number)
  return {
    cause,
    certain,
    again: certain && worthAnother.has(number),
    ofOneMember: certain && mayBeOfOneMember.has(cause.code as StoreErrorCode),
  }
}

/** Whether a retry of the whole transaction may succeed. */
export const isWorthAnother = (error: unknown): boolean => worthAnother.has(serverError(error) ?? 0)

export const isSavepointGone = (error: unknown): boolean => serverError(error) === 1305

/** Whether the error says that the object exists already. */
export const isThereAlready = (error: unknown): boolean => [1050, 1060, 1061, 1304, 1359].includes(serverError(error) ?? 0)

function notSent({ cause }: NotSentError): StoreError {
  const number = serverError(cause)
  const answer = number === undefined ? undefined : answers[number]
  const message = sayingOf(cause)
  if (answer !== undefined) return new StoreError(answer[0], `${answer[1]} (${message})`, cause)
  return new StoreError(
    'STORE_UNAVAILABLE',
    `The MySQL server cannot be reached, or the pool returned no connection. Nothing was stored. (${message})`,
    cause,
  )
}

/**
 * The server's own message: mariadb adds the statement and its values, which may be confidential.
 */
const sayingOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'sqlMessage' in error && typeof error.sqlMessage === 'string'
    ? error.sqlMessage
    : messageOf(error)

/**
 * Retries `work` when MySQL rolls back a transaction in favor of another one. @throws StoreError
 */
export async function persistently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (!isWorthAnother(error) || tries === 10) throw toStoreError(error)
    }
  }
}

/** @throws StoreError for any error of the driver */
export async function explained<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw toStoreError(error)
  }
}
