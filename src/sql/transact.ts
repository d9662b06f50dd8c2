import { StoreError } from '../errors.ts'
import type { CheckpointWrite, CommitOutcome } from '../store/commit.ts'
import { type CheckpointFacts, checkpointConflict } from '../store/find-conflict.ts'
import type { Failure } from './append.ts'

/** A database that supports transactions of several statements. */
export interface TransactionDatabase {
  /**
   * Runs `work` in a transaction: COMMIT when it resolves, ROLLBACK when it rejects.
   *
   * Rejects with the reason of `work`.
   */
  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>
  understand(error: unknown): Pick<Failure, 'cause' | 'certain'>
}

/** An open transaction. */
export interface Transaction {
  /** Passed to the user's function. */
  readonly client: unknown
  /** Prevents a takeover of the lease and a move of the checkpoint until the transaction ends. */
  lock(name: string): Promise<CheckpointFacts>
  /**
   * Moves the checkpoint. Writes nothing and returns `false` if the locking transaction has ended.
   */
  move(id: string, checkpoint: CheckpointWrite): Promise<boolean>
}

/**
 * Runs a user's function and moves a checkpoint in one transaction, as `Store.transact` requires.
 */
export async function transact(
  database: TransactionDatabase,
  commit: { readonly id: string; readonly checkpoint: CheckpointWrite },
  work: (client: unknown) => void | Promise<void>,
): Promise<CommitOutcome> {
  let allButTheEnd = false
  try {
    return await database.transaction(async ({ client, lock, move }) => {
      const outcome = checkpointConflict(commit.id, commit.checkpoint, await lock(commit.checkpoint.name))
      if (outcome !== undefined) return outcome
      try {
        await work(client)
      } catch (error) {
        throw new WorkError(error)
      }
      if (!(await move(commit.id, commit.checkpoint))) throw new WorkError(ended())
      allButTheEnd = true
      return { kind: 'stored', positions: [] }
    })
  } catch (error) {
    if (error instanceof WorkError) throw error.cause
    const { cause, certain } = database.understand(error)
    return { kind: 'failed', certain: certain || !allButTheEnd, cause }
  }
}

/**
 * Wraps an error of the user's function as `cause`, to distinguish it from failures of the store.
 */
export class WorkError extends StoreError {
  constructor(cause: unknown) {
    super('STORE_FAILED', 'The transaction function failed.', cause)
  }
}

export const ended = (): StoreError =>
  new StoreError(
    'STORE_FAILED',
    'Your transaction function ended its transaction. Its changes may be stored; the checkpoint did not move. Do not run COMMIT, ROLLBACK or DDL that commits implicitly, nor continue after an error that rolled all back.',
  )
