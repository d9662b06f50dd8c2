import type { ViewWrite } from '../store/commit.ts'
import { type ProcessorRow, processorRows } from '../store/internal-rows.ts'
import { Countdown } from '../util/countdown.ts'
import type { ConsumerCore } from './core.ts'
import { eachEnded } from './each-ended.ts'
import { type Layout, layoutOf, partitionNames, progressIn } from './layout.ts'
import { askForLease, type Lease, LeaseLost, leaseOf } from './lease.ts'
import { type LogProgress, union, writeProgress } from './progress.ts'
import { saveRows } from './rows.ts'

const retryMs = 20
/** Holders release a partition about every two seconds. */
export const patienceMs = 5_000

/** Limits of the wait for other leases. */
export interface ChangeLimits {
  /** Milliseconds. Default: the time that holders may take to release a partition. */
  readonly budgetMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Initial state of an epoch. */
export interface Beginning extends Partial<ProcessorRow> {
  readonly progress: Omit<LogProgress, 'epoch' | 'sealed'>
}

/** Decides on the next epoch, from the processor row and its progress. */
export type NextEpoch = (row: ProcessorRow, reached: LogProgress) => Beginning

/**
 * Changes the number of partitions, or finishes an interrupted change. Returns false if another
 * process has a partition or won the race.
 */
export const changeLayout = (core: ConsumerCore, name: string, partitions: number, limits: ChangeLimits): Promise<boolean> =>
  beginEpoch(core, name, limits, (_, { at, ahead = {}, open = {}, once = {} }) => ({
    partitions,
    progress: { at, ahead, open, once },
  }))

/**
 * Begins the next epoch of a processor.
 *
 * Seals the checkpoints of the epoch before, so that none moves again, whatever happens to the
 * leases. Stores `others` together with it. Returns false if another process has a partition or won
 * the race.
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
    const held = [...leases.values()].map((lease, partition) => ({
      lease,
      progress: progressIn(layout, partition, lease.text ?? undefined),
    }))
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

/** Returns false if another process has begun the epoch. */
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
    // A conflict may come from a request about failed events, which does not change the epoch.
    if ((await saveRows(core, [write, ...(await others())])) === 'saved') return true
  }
}

/** Takes all leases in the order of their numbers, and holds them while it waits for the rest. */
async function takeAll(
  core: ConsumerCore,
  name: string,
  layout: Layout,
  leases: Map<string, Lease>,
  { budgetMs = Number.POSITIVE_INFINITY, signal }: ChangeLimits,
): Promise<boolean> {
  const { leaseMs, runtime } = core
  const countdown = new Countdown(runtime, Math.min(budgetMs, leaseMs + patienceMs))
  for (const one of partitionNames(name, layout))
    for (;;) {
      const answer = await askForLease(core, one)
      if (answer.acquired) {
        leases.set(one, await leaseOf(core, one, answer))
        break
      }
      if (signal?.aborted || countdown.isOver) return false
      await runtime.sleep(retryMs * (0.5 + runtime.random()))
      for (const lease of leases.values()) await lease.prove()
    }
  return true
}
