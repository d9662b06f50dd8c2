import { type ProcessorRow, processorRows } from '../store/internal-rows.ts'
import type { ConsumerCore } from './core.ts'
import { eachEnded } from './each-ended.ts'
import { type Layout, layoutOf, partitionNames, progressIn } from './layout.ts'
import { Lease, LeaseLost } from './lease.ts'
import { type LogProgress, union, writeProgress } from './progress.ts'
import { saveRows } from './rows.ts'

const retryMs = 20
/** Holders let go of a partition about every two seconds. */
const patienceMs = 5_000

interface Held {
  readonly lease: Lease
  readonly progress: LogProgress
}

/**
 * Divides a processor into another number of partitions, or finishes a change that was broken off. The checkpoints of the epoch are
 * sealed: nothing moves them any more, whatever becomes of the leases, so the next epoch begins exactly where they ended. False:
 * others have a partition, or were first.
 */
export async function changeLayout(
  core: ConsumerCore,
  name: string,
  partitions: number,
  { untilMs, signal }: { readonly untilMs: number; readonly signal?: AbortSignal | undefined },
): Promise<boolean> {
  const row = await processorRows.read(core.store, name)
  if (row.value === undefined) return false
  const layout = layoutOf(name, row.value)
  const leases = new Map<string, Lease>()
  try {
    if (!(await takeAll(core, name, layout, leases, { untilMs, signal }))) return false
    const held = await eachEnded([...leases].map(([, lease], partition) => readHeld(core, layout, lease, partition)))
    if (held.some(({ progress }) => progress.epoch > layout.epoch)) return false
    for (const { lease, progress } of held)
      if (!progress.sealed) await lease.write(writeProgress({ ...progress, epoch: layout.epoch, sealed: true }))
    return await begin(core, row, partitions, union(held.map(({ progress }) => progress)))
  } catch (error) {
    if (error instanceof LeaseLost) return false
    throw error
  } finally {
    await eachEnded([...leases.values()].map((lease) => lease.release().catch(() => {})))
  }
}

async function begin(
  core: ConsumerCore,
  row: { readonly id: string; readonly version: number; readonly value: ProcessorRow | undefined },
  partitions: number,
  { at, ahead = {}, open = {} }: LogProgress,
): Promise<boolean> {
  const before = row.value as ProcessorRow
  const epoch = before.epoch + 1
  const changedAt = core.runtime.now().toISOString()
  const next = { ...before, epoch, partitions, from: writeProgress({ epoch, at, ahead, open }), changedAt }
  return (await saveRows(core, [processorRows.write(row, next)])) === 'saved'
}

/** In the order of their numbers; those that were got are kept while it waits for the rest. */
async function takeAll(
  core: ConsumerCore,
  name: string,
  layout: Layout,
  leases: Map<string, Lease>,
  { untilMs, signal }: { readonly untilMs: number; readonly signal?: AbortSignal | undefined },
): Promise<boolean> {
  const { store, holder, leaseMs, runtime } = core
  const end = Math.min(untilMs, runtime.now().getTime() + leaseMs + patienceMs)
  for (const one of partitionNames(name, layout))
    for (;;) {
      const answer = await store.acquireLease({ name: one, holder, ttlMs: leaseMs })
      if (answer.acquired) {
        leases.set(one, new Lease(core, one, answer.fence, null))
        break
      }
      if (signal?.aborted || runtime.now().getTime() >= end) return false
      await runtime.sleep(retryMs * (0.5 + runtime.random()))
      for (const lease of leases.values()) await lease.prove()
    }
  return true
}

async function readHeld(core: ConsumerCore, layout: Layout, lease: Lease, partition: number): Promise<Held> {
  const text = (await core.store.readCheckpoint(lease.name))?.position
  lease.text = text ?? null
  return { lease, progress: progressIn(layout, partition, text) }
}
