import { DefinitionError } from '../errors.ts'
import { ended, WorkError } from '../sql/transact.ts'
import type { CheckpointWrite, Commit, CommitOutcome } from '../store/commit.ts'
import { FailedDependencies } from '../store/failed-dependencies.ts'
import { findConflict } from '../store/find-conflict.ts'
import { serializeCommit } from '../store/serialize-commit.ts'
import { isThenable, refusing } from '../util/refusing.ts'
import { isSureAtCommit, write } from './append.ts'
import type { Connection } from './connection.ts'
import { isSavepointGone, toStoreError } from './errors.ts'
import { factsOf } from './facts.ts'

/**
 * Runs a user's function and moves a checkpoint in one transaction.
 *
 * It ends before any other statement on the connection can get into it.
 */
export async function transact(
  connection: Connection,
  { id, checkpoint }: { readonly id: string; readonly checkpoint: CheckpointWrite },
  work: (client: unknown) => void | Promise<void>,
): Promise<CommitOutcome> {
  const commit = { id, appends: [], checkpoint }
  let allButTheEnd = false
  try {
    return await connection.write(() => {
      allButTheEnd = false
      const outcome = findConflict(commit, factsOf(connection), new FailedDependencies()) ?? runAndWrite(connection, commit, work)
      allButTheEnd = true
      return outcome
    })
  } catch (cause) {
    if (cause instanceof WorkError) throw cause.cause
    return { kind: 'failed', certain: !allButTheEnd || isSureAtCommit(toStoreError(cause).code), cause }
  }
}

function runAndWrite(connection: Connection, commit: Commit, work: (client: unknown) => void | Promise<void>): CommitOutcome {
  connection.exec('SAVEPOINT cqrs_es')
  runNow(work, connection.db)
  try {
    connection.exec('RELEASE cqrs_es')
  } catch (error) {
    throw isSavepointGone(error) ? new WorkError(ended()) : error
  }
  return write(connection, commit, serializeCommit(commit))
}

function runNow(work: (client: unknown) => void | Promise<void>, client: unknown): void {
  let answer: void | Promise<void>
  try {
    answer = work(client)
  } catch (error) {
    throw new WorkError(error)
  }
  if (!isThenable(answer)) return
  throw new WorkError(
    refusing(
      new DefinitionError(
        'On SQLite the transaction function must be synchronous, but it returned a promise. Its changes so far are rolled back. Statements after its first await run outside of the transaction.',
      ),
      answer,
    ),
  )
}
