import type { ConsumerCore } from './core.ts'
import { eachEnded } from './each-ended.ts'
import { type Layout, partitionName, progressIn } from './layout.ts'
import { type Lease, leaseOf } from './lease.ts'
import { LogCheckpoint } from './log-checkpoint.ts'
import type { LogProgress } from './progress.ts'
import { Sequences } from './sources/sequences.ts'

/** What a process may work on. */
export interface Taken {
  readonly checkpoints: readonly LogCheckpoint[]
  /** Others have some of those that were wanted, for up to this long. */
  readonly remainingMs: number
  /** The layout that was read is not the one in use any more, or is being changed. */
  readonly isStale: boolean
}

interface Held {
  readonly partition: number
  readonly lease: Lease
  readonly progress: LogProgress
}

/** Takes some partitions, or its part of them where others want some too; each continues from its checkpoint. */
export async function takePartitions(
  core: ConsumerCore,
  name: string,
  layout: Layout,
  wanted: readonly number[],
): Promise<Taken> {
  const held: Held[] = []
  try {
    const remainingMs = await takeShare(core, name, layout, wanted, held)
    // Another process has changed the layout since it was read, or has begun to.
    const isStale = held.some(({ progress }) => progress.epoch > layout.epoch || progress.sealed)
    if (isStale) await giveBack(held.splice(0))
    const checkpoints = held.map(
      ({ partition, lease, progress }) =>
        new LogCheckpoint(lease, partition, layout.partitions, progress, new Sequences(core.store)),
    )
    return { checkpoints, remainingMs, isStale }
  } catch (error) {
    // Nobody shall wait for leases that nobody works under.
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
  const { store, holder, leaseMs, runtime } = core
  const others = new Map<string, number>()
  const acquire = async (lease: string) => {
    const answer = await store.acquireLease({ name: lease, holder: holder(), ttlMs: leaseMs })
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
    // A process without a partition takes a lease of its own, which those that have some look for.
    const waiting = waitingName(name)
    const answer = await acquire(waiting)
    if (answer !== undefined && held.length > 0) await store.releaseLease({ name: waiting, fence: answer.fence })
  }
  await giveBack(held.splice(Math.ceil(wanted.length / (others.size + 1))))
  return Math.max(0, ...others.values())
}

const waitingName = (name: string): string => `waiting/${name}`

/** Another process wants some partitions, and has none. */
export async function isWaitedFor({ store, holder, leaseMs }: ConsumerCore, consumer: string): Promise<boolean> {
  const name = waitingName(consumer)
  const answer = await store.acquireLease({ name, holder: holder(), ttlMs: leaseMs })
  if (answer.acquired) await store.releaseLease({ name, fence: answer.fence })
  return !answer.acquired
}

const giveBack = (held: readonly Held[]) => eachEnded(held.map(({ lease }) => lease.release()))
