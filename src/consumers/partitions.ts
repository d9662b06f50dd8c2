import type { ConsumerCore } from './core.ts'
import { eachEnded } from './each-ended.ts'
import { type Layout, partitionName, progressIn } from './layout.ts'
import { askForLease, isLeasedElsewhere, type Lease, leaseOf } from './lease.ts'
import { LogCheckpoint } from './log-checkpoint.ts'
import type { LogProgress } from './progress.ts'
import { Sequences } from './sources/sequences.ts'

/** Partitions that a process has taken. */
export interface Taken {
  readonly checkpoints: readonly LogCheckpoint[]
  /** Other processes hold some wanted partitions, for up to this many milliseconds. */
  readonly remainingMs: number
  /** The layout has changed, or is being changed. */
  readonly isStale: boolean
}

interface Held {
  readonly partition: number
  readonly lease: Lease
  readonly progress: LogProgress
}

/**
 * Takes some partitions, or a fair share if other processes want some too. Each continues from its
 * checkpoint.
 */
export async function takePartitions(
  core: ConsumerCore,
  name: string,
  layout: Layout,
  wanted: readonly number[],
): Promise<Taken> {
  const held: Held[] = []
  try {
    const remainingMs = await takeShare(core, name, layout, wanted, held)
    // Another process has changed the layout, or has begun to.
    const isStale = held.some(({ progress }) => progress.epoch > layout.epoch || progress.sealed)
    if (isStale) await giveBack(held.splice(0))
    const checkpoints = held.map(
      ({ partition, lease, progress }) =>
        new LogCheckpoint(lease, partition, layout.partitions, progress, new Sequences(core.store)),
    )
    return { checkpoints, remainingMs, isStale }
  } catch (error) {
    // Release leases without work, so that no process waits for them.
    await giveBack(held).catch(() => {})
    throw error
  }
}

async function takeShare(
  core: ConsumerCore,
  name: string,
  layout: Layout,
  wanted: readonly number[],
  held: Held[],
): Promise<number> {
  const { store, runtime } = core
  const others = new Map<string, number>()
  const acquire = async (lease: string) => {
    const answer = await askForLease(core, lease)
    if (answer.acquired) return answer
    others.set(answer.holder, Math.max(others.get(answer.holder) ?? 0, answer.remainingMs))
    return undefined
  }
  const first = Math.floor(runtime.random() * wanted.length)
  await eachEnded(
    wanted.map(async (_, i) => {
      const partition = wanted[(first + i) % wanted.length] as number
      const own = partitionName(name, partition)
      const answer = await acquire(own)
      if (answer === undefined) return
      const lease = await leaseOf(core, own, answer)
      held.push({ partition, lease, progress: progressIn(layout, partition, lease.text ?? undefined) })
    }),
  )
  const isContested = layout.partitions > 1 && (wanted.length > 1 || held.length === 0)
  if (isContested) {
    // A process without a partition takes a `waiting` lease, which the owners check.
    const waiting = waitingName(name)
    const answer = await acquire(waiting)
    if (answer !== undefined && held.length > 0) await store.releaseLease({ name: waiting, fence: answer.fence })
  }
  await giveBack(held.splice(Math.ceil(wanted.length / (others.size + 1))))
  return Math.max(0, ...others.values())
}

const waitingName = (name: string): string => `waiting/${name}`

/** Returns whether another process has no partition and wants some. */
export const isWaitedFor = (core: ConsumerCore, consumer: string): Promise<boolean> =>
  isLeasedElsewhere(core, waitingName(consumer))

const giveBack = (held: readonly Held[]) => eachEnded(held.map(({ lease }) => lease.release()))
