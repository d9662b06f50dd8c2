import { type CqrsError, isCqrsError, messageOf, StoreError, type StoreErrorCode } from '../errors.ts'
import type { Failure } from '../sql/append.ts'
import { NotSentError } from './connection.ts'
import { lockTimeout, raised, serverError, transactionOpen, uncertain, worthAnother } from './error-numbers.ts'
import { UnreadableAnswer, unfit } from './session.ts'

type Answer = readonly [StoreErrorCode, string]

const away: Answer = ['STORE_UNAVAILABLE', 'The connection to the MySQL server failed.']
const refusedLogin: Answer = ['STORE_UNAVAILABLE', 'The MySQL server refused the credentials.']
const lacksTable: Answer = ['SCHEMA_MISSING', 'The MySQL database lacks something of the store: call createSchema().']
const lacksRight: Answer = [
  'STORE_FAILED',
  'The MySQL user lacks a right that the store needs: see the grants on the page of the store.',
]
const full: Answer = ['STORE_FULL', 'The disk of the MySQL server, or a table, is full.']
const readOnly: Answer = ['STORE_READ_ONLY', 'The MySQL server is read-only: the store needs the primary.']
const crowded: Answer = ['STORE_BUSY', 'The MySQL server has no connection left.']
const damaged: Answer = ['STORE_CORRUPT', 'MySQL found damaged data: look into its log.']
const stopped: Answer = ['STORE_BUSY', 'The MySQL server cancelled the statement, for a time limit or at somebody’s request.']

/**
 * By the number of the error,
 * https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html, and MariaDB's own from
 * 1900 to 2000 and 4000 on.
 */
const answers: Readonly<Record<number, Answer>> = {
  1021: full,
  1026: full,
  1040: crowded,
  1044: lacksRight,
  1045: refusedLogin,
  1046: ['SCHEMA_MISSING', 'No MySQL database is selected: name one in the pool, or with the option "database".'],
  1049: ['SCHEMA_MISSING', 'The MySQL database does not exist: create it, then call createSchema().'],
  1053: away,
  1054: lacksTable,
  1114: full,
  1129: refusedLogin,
  1130: refusedLogin,
  1142: lacksRight,
  1143: lacksRight,
  1146: lacksTable,
  1153: ['STORE_LIMIT', 'The append is larger than max_allowed_packet of the MySQL server: raise that, or store less at once.'],
  1158: away,
  1159: away,
  1160: away,
  1161: away,
  1176: lacksTable,
  1194: damaged,
  1195: damaged,
  1203: crowded,
  [lockTimeout]: ['STORE_BUSY', 'MySQL did not grant a lock within innodb_lock_wait_timeout or lock_wait_timeout.'],
  1213: ['STORE_BUSY', 'MySQL gave up the transaction for the sake of another.'],
  1226: crowded,
  1227: lacksRight,
  1290: readOnly,
  1305: lacksTable,
  1317: stopped,
  1318: lacksTable,
  1370: lacksRight,
  1406: ['STORE_LIMIT', 'A value is too long for its column.'],
  1419: [
    'STORE_FAILED',
    'The MySQL server has a binary log and lets nobody without SUPER create triggers: set log_bin_trust_function_creators, or create the schema as another user.',
  ],
  [transactionOpen]: [
    'STORE_FAILED',
    'A transaction of yours is open on a connection of the pool. Nothing was done: end it before you give the connection back.',
  ],
  1712: damaged,
  1792: ['STORE_READ_ONLY', 'MySQL began a read-only transaction: switch off transaction_read_only, or connect to the primary.'],
  1836: readOnly,
  1927: away,
  1969: stopped,
  2006: away,
  2013: away,
  3024: stopped,
  [raised.unplaced]: [
    'STORE_FAILED',
    'The last event of an aggregate was inserted by another program and has no place in the log: call createSchema(), which gives it one, and where that program goes on to write, use the option `foreignWriters`.',
  ],
  [raised.notStored]: ['STORE_FAILED', 'MySQL did not store all events.'],
}

const mayBeOfOneMember: ReadonlySet<StoreErrorCode> = new Set(['STORE_FAILED', 'STORE_LIMIT', 'STORE_FULL'])

/** What a driver threw as an error of ours; one of ours stays as it is. */
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

/** A failed append: what it means for the commits that were sent. */
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

/** Whether another try of the whole transaction may do. */
export const isWorthAnother = (error: unknown): boolean => worthAnother.has(serverError(error) ?? 0)

export const isSavepointGone = (error: unknown): boolean => serverError(error) === 1305

/** Errors that say: it is there already. */
export const isThereAlready = (error: unknown): boolean => [1050, 1060, 1061, 1304, 1359].includes(serverError(error) ?? 0)

function notSent({ cause }: NotSentError): StoreError {
  const number = serverError(cause)
  const answer = number === undefined ? undefined : answers[number]
  const message = sayingOf(cause)
  if (answer !== undefined) return new StoreError(answer[0], `${answer[1]} (${message})`, cause)
  return new StoreError(
    'STORE_UNAVAILABLE',
    `The MySQL server cannot be reached, or the pool gave no connection. (${message})`,
    cause,
  )
}

/** Without the statement and its values, which the driver mariadb adds to its messages. */
const sayingOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'sqlMessage' in error && typeof error.sqlMessage === 'string'
    ? error.sqlMessage
    : messageOf(error)

/** Again when MySQL gives up a transaction for the sake of another. @throws StoreError */
export async function persistently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (!isWorthAnother(error) || tries === 10) throw toStoreError(error)
    }
  }
}

/** @throws StoreError for whatever the driver throws */
export async function explained<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw toStoreError(error)
  }
}
