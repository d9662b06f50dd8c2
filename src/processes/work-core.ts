import type { ConsumerCore } from '../consumers/core.ts'
import { savedOr } from '../consumers/rows.ts'
import type { Call } from '../execution/call.ts'
import { placeOfOne } from '../execution/commit-queue.ts'
import type { Accepted, Rejected } from '../execution/result.ts'
import type { InternalRows } from '../store/internal-rows.ts'
import type { ProcessDefinition } from './definition.ts'
import type { InstanceCache, StoredInstance } from './instance-cache.ts'
import type { InstanceRow } from './instance-row.ts'
import { type Observed, observeSteps } from './observe-steps.ts'

/** Executes a command on an aggregate of the app, by its type. */
export type Execute = (aggregateType: string, call: Call) => Promise<Accepted | Rejected>

/** Shared by all work on the instances of one process. */
export interface WorkCore {
  readonly core: ConsumerCore
  readonly process: ProcessDefinition
  readonly rows: InternalRows<InstanceRow>
  readonly instances: InstanceCache
  readonly execute: Execute
  /** Returns whether user code of an aggregate threw the error. */
  readonly isForeign: (error: unknown) => boolean
}

/** An instance with its content. */
export type Running = StoredInstance & { readonly value: InstanceRow }

/** Reads an instance. @throws StoreError */
export async function readInstance({ core, rows, instances }: WorkCore, id: string): Promise<StoredInstance> {
  const row = await rows.read(core.store, id)
  instances.put(row)
  return row
}

/** Adds what each save sets. */
export const stamped = ({ core }: Pick<WorkCore, 'core'>, row: InstanceRow, by: string): InstanceRow => ({
  ...row,
  by,
  changedAt: core.runtime.now().toISOString(),
})

/** Notes an instance that was saved, and returns it. */
export function noteSaved(
  work: WorkCore,
  { id, version }: StoredInstance,
  value: InstanceRow,
  observed?: Omit<Observed, 'id' | 'row'>,
): Running {
  const saved = { id, version: version + 1, value }
  work.instances.put(saved)
  if (observed !== undefined) observeSteps(work.core, work.process.name, [{ id, row: value, ...observed }])
  return saved
}

/** Saves an instance. Returns `undefined` if another worker has moved it. */
export async function saveInstance(
  work: WorkCore,
  row: StoredInstance,
  next: InstanceRow,
  observed?: Omit<Observed, 'id' | 'row'>,
): Promise<Running | undefined> {
  const { core, rows, instances } = work
  const commitId = core.runtime.randomUUID()
  const value = stamped(work, next, commitId)
  const commit = { id: commitId, appends: [], views: [rows.write(row, value)] }
  const saved = savedOr(await core.consumerQueue.send(commit, placeOfOne(), undefined).outcome) === 'saved'
  if (saved) return noteSaved(work, row, value, observed)
  instances.drop(row.id)
  // The answer to an earlier send of this commit may have been lost.
  const found = await readInstance(work, row.id)
  return found.value?.by === commitId ? noteSaved(work, row, value, observed) : undefined
}
