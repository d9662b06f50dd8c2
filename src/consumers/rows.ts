import { CommitQueue, placeOfOne } from '../execution/commit-queue.ts'
import type { Core } from '../execution/core.ts'
import type { CommitResult } from '../execution/result.ts'
import type { ViewWrite } from '../store/commit.ts'
import type { InternalRows, RowAccess } from '../store/internal-rows.ts'
import type { Saved } from './processor.ts'

type RowCore = Core & { readonly consumerQueue: CommitQueue }

/**
 * Creates a commit queue for consumers, separate from commands, which must not wait for a large
 * batch of rows.
 */
export const consumerQueue = ({ store, runtime, observe }: Core): CommitQueue =>
  new CommitQueue({ store, runtime, observe }, { lanes: 16, maxCommits: 64, maxBytes: 4_000_000 }, { inside: 0 })

/** Stores rows alone: all of them or none. */
export async function saveRows({ consumerQueue, runtime }: RowCore, views: readonly ViewWrite[]): Promise<Saved> {
  const id = runtime.randomUUID()
  return savedOr(await consumerQueue.send({ id, appends: [], views }, placeOfOne(), undefined).outcome)
}

/** Returns access to internal rows of this app's store. */
export const rowsOf = (core: RowCore): RowAccess => ({
  store: core.store,
  save: async (writes) => (await saveRows(core, writes)) === 'saved',
})

/** Reads a write-once row, creating it if it does not exist. */
export async function readOrCreate<T extends object>(
  core: RowCore,
  rows: InternalRows<T>,
  id: string,
  make: () => T | Promise<T>,
): Promise<T> {
  return (await rows.update(rowsOf(core), id, (row) => (row === undefined ? make() : undefined))) as T
}

export const savedOr = (outcome: CommitResult): Saved =>
  outcome.kind !== 'conflict' ? 'saved' : outcome.on === 'generation' ? 'superseded' : 'moved'
