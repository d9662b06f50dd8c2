import { isCqrsError, StoreError } from '../errors.ts'
import { checkStatement, type SqliteDatabase, type SqliteStatement, type SqliteValue } from './database.ts'
import { toStoreError } from './errors.ts'
import { begin, takeReadLock } from './statements.ts'

export type Row = Readonly<Record<string, unknown>>

/**
 * The user's database: runs our transactions on it, one after another, and waits for locks without blocking the event loop. A
 * transaction never spans an `await`, so nothing else on the connection can get into it.
 */
export class Connection {
  readonly db: SqliteDatabase
  readonly #synchronous: 'FULL' | 'NORMAL'
  readonly #busyTimeoutMs: number
  readonly #statements = new Map<string, SqliteStatement>()
  #durable = false

  constructor(db: SqliteDatabase, options: { durability: 'full' | 'normal'; busyTimeoutMs: number }) {
    this.db = db
    this.#synchronous = options.durability === 'full' ? 'FULL' : 'NORMAL'
    this.#busyTimeoutMs = options.busyTimeoutMs
  }

  /**
   * Runs `work` in a read transaction. A single SELECT gets one too: `BEGIN` is refused while the user has a transaction open, and
   * without it we would read what that one may yet roll back. It costs about a microsecond.
   */
  read<T>(work: () => T): Promise<T> {
    return this.#retryWhileBusy(() =>
      this.#transaction(begin.read, () => {
        this.db.exec(takeReadLock)
        return work()
      }),
    )
  }

  /** Runs `work` in a transaction that holds the write lock from its start; a deferred one that is upgraded later would fail at once. */
  write<T>(work: () => T): Promise<T> {
    return this.#retryWhileBusy(() => this.#transaction(begin.write, work))
  }

  /** Runs what cannot be in a transaction. */
  outside<T>(work: () => T): Promise<T> {
    return this.#retryWhileBusy(work)
  }

  all(sql: string, ...values: SqliteValue[]): Row[] {
    return plainNames(this.#prepared(sql).all(...values))
  }

  first(sql: string, ...values: SqliteValue[]): Row | undefined {
    return this.all(sql, ...values)[0]
  }

  run(sql: string, ...values: SqliteValue[]): ReturnType<SqliteStatement['run']> {
    return this.#prepared(sql).run(...values)
  }

  /** Runs a script. */
  exec(sql: string): void {
    this.db.exec(sql)
  }

  /** Prepared when first used, since the tables may not be there earlier; SQLite prepares it again by itself after a change of the schema. */
  #prepared(sql: string): SqliteStatement {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.db.prepare(sql)
      checkStatement(statement)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  async #retryWhileBusy<T>(work: () => T): Promise<T> {
    const deadline = performance.now() + this.#busyTimeoutMs
    for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
      try {
        return this.#withoutBlocking(work)
      } catch (cause) {
        const error = toStoreError(cause)
        if (/statements in progress/.test(error.message) && this.#countsChanges()) throw countsChanges(error)
        if (!isCqrsError(error, 'STORE_BUSY')) throw error
        if (performance.now() >= deadline) throw this.#busy(error)
      }
      await sleep(pause * (0.5 + Math.random()))
    }
  }

  #busy(cause: StoreError): StoreError {
    return new StoreError(
      'STORE_BUSY',
      `${cause.message} It stayed so for ${this.#busyTimeoutMs} ms: try again later, look for a connection that keeps a transaction open, or raise busyTimeoutMs.`,
      cause.cause,
    )
  }

  /** The driver's own wait for a lock would block the event loop, so it is off while `work` runs. */
  #withoutBlocking<T>(work: () => T): T {
    const timeout = this.#readBusyTimeout()
    if (timeout === 0) return work()
    this.db.exec('PRAGMA busy_timeout = 0')
    try {
      return work()
    } finally {
      this.db.exec(`PRAGMA busy_timeout = ${timeout}`)
    }
  }

  #readBusyTimeout(): number {
    return Number(this.#pragma('busy_timeout') ?? 0)
  }

  /** Prepared anew each time: SQLite answers some of these when they are prepared, not when they run. */
  #pragma(name: string): unknown {
    const statement = this.db.prepare(`PRAGMA ${name}`)
    checkStatement(statement)
    const [row] = plainNames(statement.all())
    return row && Object.values(row)[0]
  }

  /** A change then has a row, and goes on until that is read. */
  #countsChanges(): boolean {
    return Number(this.#pragma('count_changes') ?? 0) === 1
  }

  #transaction<T>(beginStatement: string, work: () => T): T {
    if (!this.#durable) {
      if (this.#pragma('journal_mode') === 'off') throw withoutJournal()
      this.db.exec(`PRAGMA synchronous = ${this.#synchronous}`)
      this.#durable = true
    }
    this.db.exec(beginStatement)
    try {
      const result = work()
      this.db.exec('COMMIT')
      return result
    } catch (error) {
      this.#rollback()
      throw error
    }
  }

  /** SQLite has rolled back by itself after some errors (disk full, I/O); there is nothing left to do then. */
  #rollback(): void {
    try {
      this.db.exec('ROLLBACK')
    } catch {}
  }
}

/**
 * With `PRAGMA full_column_names` or without `short_column_names` the name of a column has that of its table before it.
 *
 * @throws StoreError for rows that are not objects
 */
function plainNames(rows: readonly unknown[]): Row[] {
  const [first] = rows
  if (Array.isArray(first))
    throw new StoreError(
      'STORE_FAILED',
      'The SQLite driver returns rows as arrays. Open the connection of sqliteStore without the option returnArrays.',
    )
  if (first === undefined || !Object.keys(first as Row).some((name) => name.includes('.'))) return rows as Row[]
  const plain = (name: string) => name.slice(name.lastIndexOf('.') + 1)
  return (rows as Row[]).map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [plain(name), value])))
}

const countsChanges = (cause: StoreError | Error): StoreError =>
  new StoreError(
    'STORE_FAILED',
    'The connection of sqliteStore has PRAGMA count_changes on. Nothing was stored. Switch it off; SQLite advises against it.',
    cause,
  )

const withoutJournal = (): StoreError =>
  new StoreError(
    'STORE_FAILED',
    'The connection of sqliteStore has PRAGMA journal_mode = OFF, so a commit that fails could not be undone. Nothing was stored. Set WAL.',
  )

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
