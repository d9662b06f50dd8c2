import type { ViewWrite } from '../store/commit.ts'
import { type ProcessorRow, processorRows } from '../store/internal-rows.ts'
import { Countdown } from '../util/countdown.ts'
import type { ConsumerCore } from './core.ts'
import { eachEnded } from './each-ended.ts'
import { type Layout, layoutOf, partitionNames, progressIn } from './layout.ts'
import { Lease, LeaseLost } from './lease.ts'
import { type LogProgress, union, writeProgress } from './progress.ts'
import { saveRows } from './rows.ts'

const retryMs = 20
/** Holders let go of a partition about every two seconds. */
export const patienceMs = 5_000

interface Held {
  readonly lease: Lease
  readonly progress: LogProgress
}

/** How long a change waits for the leases of others. */
export interface ChangeLimits {
  /** Left out: as long as holders may take to let go. */
  readonly budgetMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What an epoch begins with. */
export interface Beginning extends Partial<ProcessorRow> {
  readonly progress: Omit<LogProgress, 'epoch' | 'sealed'>
}

/** Decides on the next epoch, by the row of the processor and by how far it has come. */
export type NextEpoch = (row: ProcessorRow, reached: LogProgress) => Beginning

/**
 * Divides a processor into another number of partitions, or finishes a change that was broken off. False: others have a
 * partition, or were first.
 */
export const changeLayout = (core: ConsumerCore, name: string, partitions: number, limits: ChangeLimits): Promise<boolean> =>
  beginEpoch(core, name, limits, (_, { at, ahead = {}, open = {} }) => ({ partitions, progress: { at, ahead, open } }))

/**
 * Begins the next epoch of a processor. The checkpoints of the epoch before are sealed: nothing moves them any more, whatever
 * becomes of the leases. False: others have a partition, or were first. `others` are stored together with it.
 */
export async function beginEpoch(
  core: ConsumerCore,
  name: string,
  limits: ChangeLimits,
  next: NextEpoch,
  others: () => Promise<readonly ViewWrite[]> = async () => [],
): Promise<boolean> {
  const { value } = await processorRows.read(core.store, name)
  if (value === undefined) return false
  const layout = layoutOf(name, value)
  const leases = new Map<string, Lease>()
  try {
    if (!(await takeAll(core, name, layout, leases, limits))) return false
    const held = await eachEnded([...leases].map(([, lease], partition) => readHeld(core, layout, lease, partition)))
    if (held.some(({ progress }) => progress.epoch > layout.epoch)) return false
    for (const { lease, progress } of held)
      if (!progress.sealed) await lease.write(writeProgress({ ...progress, epoch: layout.epoch, sealed: true }))
    const reached = union(held.map(({ progress }) => progress))
    return await begin(core, name, layout, (row) => next(row, reached), others)
  } catch (error) {
    if (error instanceof LeaseLost) return false
    throw error
  } finally {
    await eachEnded([...leases.values()].map((lease) => lease.release().catch(() => {})))
  }
}

/** False: another process has begun it. */
async function begin(
  core: ConsumerCore,
  name: string,
  layout: Layout,
  next: (row: ProcessorRow) => Beginning,
  others: () => Promise<readonly ViewWrite[]>,
): Promise<boolean> {
  for (;;) {
    const row = await processorRows.read(core.store, name)
    if (row.value?.epoch !== layout.epoch) return false
    const epoch = layout.epoch + 1
    const { progress, ...change } = next(row.value)
    const from = writeProgress({ ...progress, epoch })
    const changedAt = core.runtime.now().toISOString()
    const write = processorRows.write(row, { ...row.value, ...change, epoch, from, changedAt })
    // Someone may have asked for failed events meanwhile, which is no other epoch.
    if ((await saveRows(core, [write, ...(await others())])) === 'saved') return true
  }
}

/** In the order of their numbers; those that were got are kept while it waits for the rest. */
async function takeAll(
  core: ConsumerCore,
  name: string,
  layout: Layout,
  leases: Map<string, Lease>,
  { budgetMs = Number.POSITIVE_INFINITY, signal }: ChangeLimits,
): Promise<boolean> {
  const { store, holder, leaseMs, runtime } = core
  const countdown = new Countdown(runtime, Math.min(budgetMs, leaseMs + patienceMs))
  for (const one of partitionNames(name, layout))
    for (;;) {
      const answer = await store.acquireLease({ name: one, holder: holder(), ttlMs: leaseMs })
      if (answer.acquired) {
        leases.set(one, new Lease(core, one, answer.fence, null))
        break
      }
      if (signal?.aborted || countdown.isOver) return false
      await runtime.sleep(retryMs * (0.5 + runtime.random()))
      for (const lease of leases.values()) await lease.prove()
    }
  return true
}

/** With what its checkpoint says. */
async function readHeld(core: ConsumerCore, layout: Layout, lease: Lease, partition: number): Promise<Held> {
  const text = (await core.store.readCheckpoint(lease.name))?.position
  lease.text = text ?? null
  return { lease, progress: progressIn(layout, partition, text) }
}
