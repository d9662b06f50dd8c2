import { type CqrsError, isCqrsError, StoreError } from '../errors.ts'
import { type Row, text, textOrNull } from '../sql/columns.ts'
import { checkStatement, type SqliteDatabase, type SqliteStatement, type SqliteValue } from './client.ts'
import { toStoreError } from './errors.ts'
import { begin, takeReadLock } from './statements.ts'

/**
 * Runs transactions on the user's database, one after another, without blocking while it is locked.
 *
 * A transaction never spans an `await`, so no other statement on the connection can get into it.
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
   * Runs `work` in a read transaction, even for a single SELECT.
   *
   * `BEGIN` fails while a transaction of the user is open. Without it, a SELECT would read changes
   * that may be rolled back. It costs about a microsecond.
   */
  read<T>(work: () => T): Promise<T> {
    return this.#retryWhileBusy(() =>
      this.#transaction(begin.read, () => {
        this.db.exec(takeReadLock)
        return work()
      }),
    )
  }

  /**
   * Runs `work` in a transaction that holds the write lock from the start.
   *
   * A deferred transaction fails at once when it needs the lock later.
   */
  write<T>(work: () => T): Promise<T> {
    return this.#retryWhileBusy(() => {
      this.#checkJournal()
      return this.#transaction(begin.write(this.#synchronous), work)
    })
  }

  /** Runs statements that are not allowed in a transaction. */
  outside<T>(work: () => T): Promise<T> {
    return this.#retryWhileBusy(work)
  }

  all(sql: string, ...values: SqliteValue[]): Row[] {
    return plainNames(this.#prepared(sql).all(...values))
  }

  first(sql: string, ...values: SqliteValue[]): Row | undefined {
    return this.all(sql, ...values)[0]
  }

  /** The row of a statement that always returns one. */
  always(sql: string, ...values: SqliteValue[]): Row {
    const row = this.first(sql, ...values)
    if (row !== undefined) return row
    throw new StoreError('STORE_FAILED', 'The SQLite driver returned no row for a statement that always returns one.')
  }

  run(sql: string, ...values: SqliteValue[]): ReturnType<SqliteStatement['run']> {
    return this.#prepared(sql).run(...values)
  }

  /** Runs a script. */
  exec(sql: string): void {
    this.db.exec(sql)
  }

  /**
   * Prepares a statement on first use, because the tables may not exist earlier.
   *
   * SQLite prepares it again by itself after a schema change.
   */
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
        if (mayCountChanges(error) && this.#countsChanges()) throw countsChanges(error)
        if (!isCqrsError(error, 'STORE_BUSY')) throw error
        if (performance.now() >= deadline) throw this.#busy(error)
      }
      await sleep(pause * (0.5 + Math.random()))
    }
  }

  #busy(cause: StoreError): StoreError {
    return new StoreError(
      'STORE_BUSY',
      `${cause.message} It stayed locked for ${this.#busyTimeoutMs} ms. Retry later, look for a connection with an open transaction, or raise busyTimeoutMs.`,
      cause.cause,
    )
  }

  /** Switches off the driver's own wait for locks, which would block the event loop. */
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

  /** Prepares each time, because SQLite evaluates some pragmas when they are prepared. */
  #pragma(name: string): unknown {
    const statement = this.db.prepare(`PRAGMA ${name}`)
    checkStatement(statement)
    const [row] = plainNames(statement.all())
    return row && Object.values(row)[0]
  }

  /** Whether a change returns a row, which makes some drivers report no change and others fail. */
  #countsChanges(): boolean {
    return Number(this.#pragma('count_changes') ?? 0) === 1
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

  /**
   * Refuses UTF-16, in which SQLite orders texts differently. The encoding of a file never changes.
   */
  #checkEncoding(): void {
    if (this.#hasEncoding) return
    const encoding = text(this.always('PRAGMA main.encoding'), 'encoding')
    if (encoding !== 'UTF-8')
      throw new StoreError(
        'STORE_FAILED',
        `The SQLite database has the encoding ${encoding}. The store needs a database that was created with UTF-8.`,
      )
    this.#hasEncoding = true
  }

  /**
   * Refuses modes that can leave half a transaction behind.
   *
   * Without a journal, nothing can be rolled back. With a journal in memory, a crash of the process
   * leaves half a transaction in the file.
   */
  #checkJournal(): void {
    const mode = text(this.always('PRAGMA main.journal_mode'), 'journal_mode')
    if (mode !== 'off' && (mode !== 'memory' || !this.#isFile())) return
    throw new StoreError(
      'STORE_FAILED',
      `The SQLite connection has PRAGMA journal_mode = ${mode}, so a failed transaction could be stored in part. Nothing was stored. Set journal_mode to WAL.`,
    )
  }

  #isFile(): boolean {
    return this.all('PRAGMA database_list').some((row) => text(row, 'name') === 'main' && (textOrNull(row, 'file') ?? '') !== '')
  }

  /** Ignores failures: after some errors (disk full, I/O), SQLite has rolled back by itself. */
  #rollback(): void {
    try {
      this.db.exec('ROLLBACK')
    } catch {}
  }
}

/**
 * Removes table names from columns.
 *
 * They are there with `PRAGMA full_column_names`, or without `short_column_names`.
 */
function plainNames(rows: readonly unknown[]): Row[] {
  const [first] = rows as Row[]
  if (first === undefined || !Object.keys(first).some((name) => name.includes('.'))) return rows as Row[]
  const plain = (name: string) => name.slice(name.lastIndexOf('.') + 1)
  return (rows as Row[]).map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [plain(name), value])))
}

/** Errors that drivers throw when a change returns a row that is not read. */
const mayCountChanges = ({ code, message }: CqrsError): boolean =>
  code === 'STORE_FAILED' || /statements in progress/.test(message)

const countsChanges = (cause: StoreError | Error): StoreError =>
  new StoreError(
    'STORE_FAILED',
    'The connection of sqliteStore has PRAGMA count_changes on. Nothing was stored. Switch it off: SQLite has deprecated it.',
    cause,
  )

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
