import { DefinitionError, isCqrsError, StoreError } from '../errors.ts'
import { text, textOrNull, whole } from '../sql/columns.ts'
import type { Transaction, TransactionDatabase } from '../sql/transact.ts'
import type { PostgresClient } from './client.ts'
import type { Connection } from './connection.ts'
import { understand } from './errors.ts'
import type { Statements } from './statements.ts'

/** @throws DefinitionError for a client that has one connection for all callers */
export function transactionDatabase(connection: Connection, statements: Statements): TransactionDatabase {
  const run = runnerOf(connection.client)
  return { understand, transaction: (work) => run((client) => work(transactionOn(connection.with(client), statements))) }
}

function transactionOn(connection: Connection, statements: Statements): Transaction {
  let transaction = ''
  return {
    client: connection.client,
    async lock(name) {
      // Two statements, so that the second one sees what was committed while the first one waited.
      const [lease] = await connection.send(statements.lockLease, [name])
      const [found] = await connection.send(statements.readCheckpointInTransaction, [name])
      if (found === undefined)
        throw new StoreError('STORE_FAILED', 'The Postgres client returned no row for a statement that always returns one.')
      transaction = text(found, 'transaction')
      return {
        fence: lease === undefined ? null : whole(lease, 'fence'),
        position: textOrNull(found, 'position'),
        commitId: textOrNull(found, 'commit_id'),
      }
    },
    async move(id, { name, position, fence }) {
      const moved = await connection.send(statements.moveCheckpoint, [name, position, fence, id, transaction])
      return moved.length > 0
    },
  }
}

type Runner = <T>(work: (client: PostgresClient) => Promise<T>) => Promise<T>

/** A client from a `Pool` of `pg`. */
interface PooledClient extends PostgresClient {
  release(error?: Error | boolean): void
  on?(event: 'error', listener: (error: unknown) => void): unknown
  removeListener?(event: 'error', listener: (error: unknown) => void): unknown
}

interface Pool {
  /** The pool of `pg` calls back; a wrapper of it may only return a promise. */
  connect(connected: (error: unknown, client?: PooledClient) => void): Promise<PooledClient> | undefined
}

/** PGlite: it has one connection, and other calls wait while `work` runs. */
interface Embedded {
  transaction<T>(work: (transaction: PostgresClient) => Promise<T>): Promise<T>
}

const isolation = 'ISOLATION LEVEL READ COMMITTED'

function runnerOf(client: PostgresClient): Runner {
  if (isPool(client)) return (work) => onPool(client, work)
  if (isEmbedded(client)) {
    return (work) =>
      client.transaction(async (own) => {
        await own.query(`SET TRANSACTION ${isolation}`)
        return work(own)
      })
  }
  throw new DefinitionError(
    'Transactions of several statements need a dedicated connection. Pass a Pool to postgresStore, not a single client or a value without connect().',
  )
}

async function onPool<T>(pool: Pool, work: (client: PostgresClient) => Promise<T>): Promise<T> {
  let broken: unknown
  const lost = (error: unknown) => {
    broken ??= error
  }
  const client = await clientOf(pool, lost)
  // A broken client keeps the listener, because it may emit more errors.
  const giveBack = (error?: unknown) => {
    client.release(error !== undefined)
    if (error === undefined) client.removeListener?.('error', lost)
  }
  try {
    await client.query(`BEGIN ${isolation}`)
    const result = await work(client)
    await client.query('COMMIT')
    giveBack()
    return result
  } catch (error) {
    await client.query('ROLLBACK').then(
      () => giveBack(),
      (failed: unknown) => giveBack(failed ?? error),
    )
    // The server's reason for ending the connection says more than the failed statement.
    throw broken === undefined || isCqrsError(error) ? error : broken
  }
}

/**
 * Takes a client from the pool and listens for its errors from the same tick on.
 *
 * An error event without a listener ends the process, and a server may end a connection in the very
 * message that opens it.
 */
const clientOf = (pool: Pool, lost: (error: unknown) => void): Promise<PooledClient> =>
  new Promise((resolve, reject) => {
    let isThere = false
    const connected = (error: unknown, client?: PooledClient) => {
      if (isThere) return
      isThere = true
      client?.on?.('error', lost)
      if (client === undefined) reject(error)
      else resolve(client)
    }
    pool.connect(connected)?.then((client) => connected(undefined, client), connected)
  })

/**
 * Whether the client is a pool. A `Client` of `pg` has `connect` too, which opens its own
 * connection.
 */
export const isPool = (client: object): client is Pool =>
  'connect' in client && typeof client.connect === 'function' && !('escapeIdentifier' in client)

/**
 * Neon over HTTP has a `transaction` as well, which takes all statements in advance, but no `exec`.
 */
const isEmbedded = (client: object): client is Embedded =>
  'transaction' in client && typeof client.transaction === 'function' && 'exec' in client
