import { DefinitionError, StoreError } from '../errors.ts'
import type { Transaction, TransactionDatabase } from '../sql/transact.ts'
import type { Connection, PostgresClient } from './client.ts'
import { understand } from './errors.ts'
import type { Statements } from './statements.ts'

/** @throws DefinitionError for a client that has one connection for all who use it */
export function transactionDatabase(connection: Connection, statements: Statements): TransactionDatabase {
  const run = runnerOf(connection.client)
  return { understand, transaction: (work) => run((client) => work(transactionOn(connection.with(client), statements))) }
}

function transactionOn(connection: Connection, statements: Statements): Transaction {
  let transaction = ''
  return {
    client: connection.client,
    async lock(name) {
      // Two statements: the second sees what was committed while the first waited.
      const [lease] = await connection.send(statements.lockLease, [name])
      const [found] = await connection.send(statements.readCheckpointInTransaction, [name])
      if (found === undefined) throw new StoreError('STORE_FAILED', 'Postgres gave no answer.')
      transaction = found.transaction as string
      return {
        fence: lease === undefined ? null : Number(lease.fence),
        position: found.position as string | null,
        commitId: found.commit_id as string | null,
      }
    },
    async move(id, { name, position, fence }) {
      const moved = await connection.send(statements.moveCheckpoint, [name, position, fence, id, transaction])
      return moved.length > 0
    },
  }
}

type Runner = <T>(work: (client: PostgresClient) => Promise<T>) => Promise<T>

/** As a `Pool` of `pg` hands it out. */
interface PooledClient extends PostgresClient {
  release(error?: Error | boolean): void
  on?(event: 'error', listener: () => void): unknown
  removeListener?(event: 'error', listener: () => void): unknown
}

interface Pool {
  connect(): Promise<PooledClient>
}

/** PGlite: one connection, on which others wait while `work` runs. */
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
    'A transaction of several statements needs a connection of its own, so a Pool: what was passed to postgresStore is a single client, or has no connect().',
  )
}

async function onPool<T>(pool: Pool, work: (client: PostgresClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  // Without a listener a client that is lost between two statements would end the process. The next statement tells.
  const lost = () => {}
  client.on?.('error', lost)
  const giveBack = (error?: unknown) => {
    client.release(error !== undefined)
    client.removeListener?.('error', lost)
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
      (broken: unknown) => giveBack(broken ?? error),
    )
    throw error
  }
}

/** Whether it hands out connections. A `Client` of `pg` has a `connect` too, which opens its own. */
export const isPool = (client: object): client is Pool =>
  'connect' in client && typeof client.connect === 'function' && !('escapeIdentifier' in client)

/** What Neon offers over HTTP is called `transaction` as well, but takes its statements in advance; it has no `exec`. */
const isEmbedded = (client: object): client is Embedded =>
  'transaction' in client && typeof client.transaction === 'function' && 'exec' in client
