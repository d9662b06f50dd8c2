import { type CqrsError, isCqrsError, StoreError } from '../errors.ts'
import { type Row, text, textOrNull } from '../sql/columns.ts'
import { checkStatement, type SqliteDatabase, type SqliteStatement, type SqliteValue } from './client.ts'
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
    return plainNames(this.#prepared(sql).all(...values))
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

  /** A change then has a row: some drivers report that nothing has changed, others that the statement has not ended. */
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

/** With `PRAGMA full_column_names`, or without `short_column_names`, the name of a column has that of its table before it. */
function plainNames(rows: readonly unknown[]): Row[] {
  const [first] = rows as Row[]
  if (first === undefined || !Object.keys(first).some((name) => name.includes('.'))) return rows as Row[]
  const plain = (name: string) => name.slice(name.lastIndexOf('.') + 1)
  return (rows as Row[]).map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [plain(name), value])))
}

/** What drivers report when a change has a row that nobody reads. */
const mayCountChanges = ({ code, message }: CqrsError): boolean =>
  code === 'STORE_FAILED' || /statements in progress/.test(message)

const countsChanges = (cause: StoreError | Error): StoreError =>
  new StoreError(
    'STORE_FAILED',
    'The connection of sqliteStore has PRAGMA count_changes on. Nothing was stored. Switch it off; SQLite advises against it.',
    cause,
  )

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
