import { isCqrsError } from '../errors.ts'
import type { MysqlConnection, MysqlPool, MysqlStatement, MysqlValue } from './client.ts'
import { lockTimeout, serverError, tableAltered, transactionOpen, uncertain, worthAnother } from './error-numbers.ts'
import { alone, isReading, readChaining, readSession, rowsOfReading } from './session.ts'

/** The result of a statement, in the same form for all drivers. */
export interface Answer {
  readonly rows: readonly Row[]
  readonly affectedRows: number
}

export type Row = Readonly<Record<string, unknown>>

export type Value = string | number | null

/** Runs a statement with its values. */
export type Run = (sql: string, ...values: readonly Value[]) => Promise<Answer>

/** Runs statements on the user's pool. */
export class Connection {
  readonly #pool: MysqlPool

  constructor(pool: MysqlPool) {
    this.#pool = pool
  }

  /**
   * Retries a statement that did not run because a table was altered after its preparation.
   *
   * The server does so by itself, but gives up after a few changes.
   */
  async #execute(on: Pick<MysqlPool, 'execute'>, sql: string, values: readonly Value[]): Promise<Answer> {
    const statement: MysqlStatement = { sql, ...rowsAsTheyAre, ...typesAsTheyAre(this.#pool) }
    for (let tries = 1; ; tries++) {
      try {
        return toAnswer(sql, await on.execute(statement, values.map(toText)))
      } catch (error) {
        if (tries === 10 || serverError(error) !== tableAltered) throw error
      }
    }
  }

  /**
   * Returns the error with the clearer reason.
   *
   * An unsuitable setting may make a statement fail before its first row can name the setting.
   */
  async #reason(error: unknown, on: Pick<MysqlPool, 'execute'>): Promise<unknown> {
    const number = serverError(error)
    if (number === undefined || number === lockTimeout || uncertain.has(number) || worthAnother.has(number)) return error
    return this.#execute(on, number === transactionOpen ? readChaining : readSession, []).then(
      () => error,
      (unfit) => (isCqrsError(unfit) ? unfit : error),
    )
  }

  /** Runs one statement in a transaction of its own. */
  run: Run = (sql, ...values) =>
    this.#execute(this.#pool, sql, values).catch(async (error) => {
      throw await this.#reason(error, this.#pool)
    })

  /**
   * Runs `work` on one connection; if it fails, rolls back an open transaction.
   *
   * A handler in the procedure does that too, but MySQL runs no handler in a statement that was
   * killed. An open transaction would keep a lock that all writers need.
   */
  async on<T>(
    work: (on: {
      readonly run: Run
      readonly script: (sql: string) => Promise<void>
      readonly connection: MysqlConnection
    }) => Promise<T>,
  ): Promise<T> {
    const connection = await this.#pool.getConnection().catch((cause) => {
      throw new NotSentError(cause)
    })
    const run: Run = (sql, ...values) => this.#execute(connection, sql, values)
    try {
      const result = await work({
        run,
        connection,
        async script(sql) {
          await connection.query(sql)
        },
      })
      giveBack(connection)
      return result
    } catch (error) {
      const reason = await this.#reason(error, connection)
      try {
        // An open transaction of the user stays open.
        if (serverError(error) !== transactionOpen) await connection.query('ROLLBACK AND NO CHAIN NO RELEASE')
        giveBack(connection)
      } catch {
        connection.destroy()
      }
      throw reason
    }
  }

  /**
   * Runs one statement that has the condition `alone`.
   *
   * If it changes nothing, the condition may be the reason, so it is repeated in a transaction,
   * without it.
   */
  change: Run = async (sql, ...values) => {
    const answer = await this.run(sql, ...values)
    if (answer.affectedRows > 0) return answer
    return this.transaction(async (run) => {
      await run(readSession)
      return run(sql.replace(alone, ''), ...values)
    })
  }

  /** Runs `work` in a transaction, in which each statement sees what was committed before it. */
  transaction<T>(work: (run: Run, connection: MysqlConnection) => Promise<T>): Promise<T> {
    return this.on(async ({ run, script, connection }) => {
      await script('SET TRANSACTION ISOLATION LEVEL READ COMMITTED')
      await script('START TRANSACTION READ WRITE')
      const result = await work(run, connection)
      await script('COMMIT AND NO CHAIN NO RELEASE')
      return result
    })
  }
}

/** The pool returned no connection, so the server received nothing. */
export class NotSentError extends Error {
  constructor(cause: unknown) {
    super('The pool returned no connection.', { cause })
  }
}

/**
 * Releases a connection without waiting: mariadb returns a promise, mysql2 does not.
 *
 * A failure is up to the pool.
 */
function giveBack(connection: MysqlConnection): void {
  Promise.resolve(connection.release()).catch(() => {})
}

const rowsAsTheyAre = { rowsAsArray: false, nestTables: false, namedPlaceholders: false, metaAsArray: false } as const

/**
 * Overrides the pool's own `typeCast`.
 *
 * The driver mariadb accepts `undefined` for that. The default parser of mysql2 always obeys the
 * pool. `disableEval` selects its other parser, which is slower, so only pools with a `typeCast`
 * get it.
 */
function typesAsTheyAre(pool: MysqlPool): object {
  const { config } = (pool as { readonly pool?: { readonly config?: { readonly connectionConfig?: unknown } } }).pool ?? {}
  const own = (config?.connectionConfig as { readonly typeCast?: unknown } | undefined)?.typeCast
  return own === undefined || own === true ? { typeCast: undefined } : { typeCast: true, disableEval: true }
}

/**
 * Converts numbers to text.
 *
 * The driver mysql2 sends numbers as doubles, which MySQL 8.0.22 and later refuse for `LIMIT ?`:
 * https://github.com/sidorares/node-mysql2/issues/1239
 */
const toText = (value: Value): MysqlValue => (typeof value === 'number' ? String(value) : value)

/**
 * Brings the results of both drivers into one form.
 *
 * The driver mysql2 returns `[rows, fields]`, for a call `[[rows, header], fields]`, and for a
 * change `[header, undefined]`. The driver mariadb returns `rows`, `[rows, header]` and `header`.
 */
function toAnswer(sql: string, result: unknown): Answer {
  const answer = unpacked(result)
  return isReading(sql) ? { ...answer, rows: rowsOfReading(answer.rows) } : answer
}

function unpacked(result: unknown): Answer {
  if (!Array.isArray(result)) return toChange(result)
  const ofMysql2 = result.length === 2 && (result[1] === undefined || Array.isArray(result[1]))
  const data: unknown = ofMysql2 ? result[0] : result
  if (!Array.isArray(data)) return toChange(data)
  return { rows: (Array.isArray(data[0]) ? data[0] : data) as Row[], affectedRows: 0 }
}

const toChange = (header: unknown): Answer => ({
  rows: [],
  affectedRows: Number((header as { readonly affectedRows?: unknown } | undefined)?.affectedRows ?? 0),
})
