import { StoreError } from '../errors.ts'
import type { CheckpointWrite, CommitOutcome } from '../store/commit.ts'
import { type CheckpointFacts, checkpointConflict } from '../store/find-conflict.ts'
import type { Failure } from './append.ts'

/** A database that has transactions of several statements. */
export interface TransactionDatabase {
  /** Runs `work` between BEGIN and COMMIT; when it rejects, between BEGIN and ROLLBACK. Rejects with what `work` rejects with. */
  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>
  understand(error: unknown): Pick<Failure, 'cause' | 'certain'>
}

/** One that is open. */
export interface Transaction {
  /** What the user's function gets. */
  readonly client: unknown
  /** From then on nobody takes over the lease of this name, nor moves its checkpoint, until the end. */
  lock(name: string): Promise<CheckpointFacts>
  /** Moves the checkpoint; `false`, and nothing is written, when the transaction that took the lock has ended. */
  move(id: string, checkpoint: CheckpointWrite): Promise<boolean>
}

/** A user's function and a checkpoint in one transaction, as the port wants it. */
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

/** What the user's function threw, as `cause`: whatever it is, it is no failure of the store. */
export class WorkError extends StoreError {
  constructor(cause: unknown) {
    super('STORE_FAILED', 'The function failed.', cause)
  }
}

export const ended = (): StoreError =>
  new StoreError(
    'STORE_FAILED',
    'The function ended the transaction that it was given, so what it did may be stored, and the checkpoint has not moved: it must not run COMMIT or ROLLBACK, nor a statement that commits by itself, nor go on after an error that rolled all back.',
  )
