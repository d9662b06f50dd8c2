import type { Transaction, TransactionDatabase } from '../sql/transact.ts'
import type { MysqlConnection } from './client.ts'
import type { Connection, Run } from './connection.ts'
import { isSavepointGone, understand } from './errors.ts'
import type { Statements } from './statements.ts'

export const transactionDatabase = (connection: Connection, statements: Statements): TransactionDatabase => ({
  understand,
  transaction: (work) => connection.transaction((run, client) => work(transactionOn(run, client, statements))),
})

/**
 * Does not lock the sequencer's row: a user's function may take long, and all writers would wait.
 */
const transactionOn = (run: Run, client: MysqlConnection, statements: Statements): Transaction => ({
  client,
  async lock(name) {
    const lease = (await run(statements.lockHeldLease, name)).rows[0]
    const checkpoint = (await run(statements.readCheckpoint, name)).rows[0]
    await client.query('SAVEPOINT cqrs_es')
    return {
      fence: lease === undefined ? null : Number(lease.fence),
      position: (checkpoint?.position as string | undefined) ?? null,
      commitId: (checkpoint?.commit_id as string | undefined) ?? null,
    }
  },
  async move(id, { name, position, fence }) {
    try {
      // The savepoint ends with its transaction: a schema change commits it, a deadlock rolls it
      // back.
      await client.query('RELEASE SAVEPOINT cqrs_es')
    } catch (error) {
      if (isSavepointGone(error)) return false
      throw error
    }
    await run(statements.moveCheckpoint, name, position, fence, id)
    return true
  },
})
