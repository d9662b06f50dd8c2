import { isCqrsError, StoreError } from '../errors.ts'
import { type Row, text, textOrNull, whole } from '../sql/columns.ts'
import { checkStatement, type SqliteDatabase, type SqliteStatement, type SqliteValue } from './database.ts'
import { toStoreError } from './errors.ts'
import { begin, takeReadLock } from './statements.ts'

/**
 * The user's database: runs our transactions on it, one after another, and waits for locks without blocking the event loop. A
 * transaction never spans an `await`, so nothing else on the connection can get into it.
 */
export class Connection {
  readonly db: SqliteDatabase
  readonly #synchronous: 'FULL' | 'NORMAL'
  readonly #busyTimeoutMs: number
  readonly #statements = new Map<string, SqliteStatement>()
  #hasEncoding = false

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
    return this.#retryWhileBusy(() => {
      this.#checkJournal()
      return this.#transaction(begin.write(this.#synchronous), work)
    })
  }

  /** Runs what cannot be in a transaction. */
  outside<T>(work: () => T): Promise<T> {
    return this.#retryWhileBusy(work)
  }

  all(sql: string, ...values: SqliteValue[]): Row[] {
    return this.#prepared(sql).all(...values) as Row[]
  }

  first(sql: string, ...values: SqliteValue[]): Row | undefined {
    return this.all(sql, ...values)[0]
  }

  /** Of a statement that always gives a row. */
  always(sql: string, ...values: SqliteValue[]): Row {
    const row = this.first(sql, ...values)
    if (row !== undefined) return row
    throw new StoreError('STORE_FAILED', 'The SQLite driver returned no row where there is always one.')
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

  /** Prepared anew each time: SQLite answers this pragma when it is prepared, not when it runs. */
  #readBusyTimeout(): number {
    const statement = this.db.prepare('PRAGMA busy_timeout')
    checkStatement(statement)
    const [row = {}] = statement.all() as Row[]
    return whole(row, 'timeout')
  }

  #transaction<T>(beginStatement: string, work: () => T): T {
    this.#checkEncoding()
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

  /** In UTF-16 SQLite orders texts by other bytes than ours. It is that of the file, and never changes. */
  #checkEncoding(): void {
    if (this.#hasEncoding) return
    const encoding = text(this.always('PRAGMA main.encoding'), 'encoding')
    if (encoding !== 'UTF-8')
      throw new StoreError(
        'STORE_FAILED',
        `The SQLite database has the encoding ${encoding}; the store needs one that was made with UTF-8.`,
      )
    this.#hasEncoding = true
  }

  /** Without a journal nothing can be rolled back, and with one in memory a crash of the process leaves half a transaction in the file. */
  #checkJournal(): void {
    const mode = text(this.always('PRAGMA main.journal_mode'), 'journal_mode')
    if (mode !== 'off' && (mode !== 'memory' || !this.#isFile())) return
    throw new StoreError(
      'STORE_FAILED',
      `The SQLite connection has PRAGMA journal_mode = ${mode}, so a failed transaction could leave a part of it behind. Set it to WAL. Nothing was stored.`,
    )
  }

  #isFile(): boolean {
    return this.all('PRAGMA database_list').some((row) => text(row, 'name') === 'main' && (textOrNull(row, 'file') ?? '') !== '')
  }

  /** SQLite has rolled back by itself after some errors (disk full, I/O); there is nothing left to do then. */
  #rollback(): void {
    try {
      this.db.exec('ROLLBACK')
    } catch {}
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
