import { type CqrsError, isCqrsError, StoreError, type StoreErrorCode } from '../errors.ts'

/** Names of the primary result codes that are handled. https://sqlite.org/rescode.html */
const names: Readonly<Record<number, string>> = {
  5: 'BUSY',
  6: 'LOCKED',
  7: 'NOMEM',
  8: 'READONLY',
  9: 'INTERRUPT',
  10: 'IOERR',
  11: 'CORRUPT',
  13: 'FULL',
  14: 'CANTOPEN',
  15: 'PROTOCOL',
  18: 'TOOBIG',
  26: 'NOTADB',
}

const answers: Readonly<Record<string, readonly [StoreErrorCode, string]>> = {
  BUSY: ['STORE_BUSY', 'The SQLite database is locked by another connection.'],
  LOCKED: ['STORE_BUSY', 'The SQLite database is locked by another connection of this process.'],
  PROTOCOL: ['STORE_BUSY', 'The SQLite database is locked by other connections.'],
  NOMEM: ['STORE_UNAVAILABLE', 'SQLite ran out of memory. Retry later.'],
  READONLY: [
    'STORE_READ_ONLY',
    'The SQLite database cannot be written. Check how it was opened, PRAGMA query_only, and the permissions of its file and directory.',
  ],
  READONLY_DBMOVED: ['STORE_UNAVAILABLE', 'The SQLite database file was moved or deleted while it was open. Open it again.'],
  INTERRUPT: ['STORE_UNAVAILABLE', 'The statement was interrupted.'],
  IOERR: ['STORE_UNAVAILABLE', 'Reading or writing the SQLite database file failed.'],
  CORRUPT: ['STORE_CORRUPT', 'The SQLite database file is damaged. Restore a backup.'],
  NOTADB: ['STORE_CORRUPT', 'The file is not a SQLite database, or it is encrypted.'],
  FULL: ['STORE_FULL', 'The disk is full, or the SQLite database has reached its size limit. Nothing was stored.'],
  CANTOPEN: ['STORE_UNAVAILABLE', 'SQLite cannot open the database file or a file next to it. Check their permissions.'],
  TOOBIG: ['STORE_LIMIT', 'A value exceeds the length limit of this SQLite build (SQLITE_MAX_LENGTH). Nothing was stored.'],
}

/** Translates a driver's error; returns an error of this package as it is. */
export function toStoreError(error: unknown): CqrsError {
  if (isCqrsError(error)) return error
  const message = error instanceof Error ? error.message : String(error)
  const name = resultName(error)
  const answer = name === undefined ? undefined : (answers[name] ?? answers[name.split('_')[0] ?? ''])
  if (answer !== undefined) return new StoreError(answer[0], `${answer[1]} (${message})`, error)
  if (/no such (table|column)|has no column named/.test(message)) {
    return new StoreError(
      'SCHEMA_MISSING',
      `The SQLite database lacks a table or column of the store. Call createSchema(). (${message})`,
      error,
    )
  }
  if (/(within|inside) a transaction/.test(message)) return transactionOpen(error)
  if (/not open|closed|been finalized/.test(message)) {
    return new StoreError('STORE_UNAVAILABLE', `The SQLite database is closed. (${message})`, error)
  }
  return new StoreError('STORE_FAILED', `SQLite refused a statement of the store: ${message}`, error)
}

export const isSavepointGone = (error: unknown): boolean => /no such savepoint/.test(String(error))

function transactionOpen(cause: unknown): StoreError {
  return new StoreError(
    'STORE_FAILED',
    'A transaction of yours is open on the connection of sqliteStore. Nothing was stored. End it first, or give the store a connection of its own.',
    cause,
  )
}

/**
 * The result code without `SQLITE_`: `READONLY_DBMOVED` in full, others as far as known.
 *
 * The drivers `better-sqlite3`, `libsql` and `bun:sqlite` have it as a text in `code`,
 * `node:sqlite` as a number in `errcode`.
 */
function resultName(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  if ('code' in error && typeof error.code === 'string' && error.code.startsWith('SQLITE_')) return error.code.slice(7)
  const number =
    'errcode' in error ? error.errcode : 'errno' in error ? error.errno : 'rawCode' in error ? error.rawCode : undefined
  if (typeof number !== 'number' || number < 0) return undefined
  return number === 1032 ? 'READONLY_DBMOVED' : names[number & 0xff]
}
