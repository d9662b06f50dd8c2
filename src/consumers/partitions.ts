import type { Position } from '../event-envelope.ts'
import { startRows } from '../store/internal-rows.ts'
import type { ConsumerCore } from './core.ts'
import { eachEnded } from './each-ended.ts'
import { Lease } from './lease.ts'
import { LogCheckpoint } from './log-checkpoint.ts'
import { beginning } from './positions.ts'
import type { Processor } from './processor.ts'
import { readProgress } from './progress.ts'
import { readOrCreate } from './rows.ts'
import { Sequences } from './sources/sequences.ts'

/** What a process may work on. */
export interface Partitions {
  readonly checkpoints: readonly LogCheckpoint[]
  /** Others have what could not be taken for up to this long. */
  readonly remainingMs: number
}

/** Name of the lease and the checkpoint of a partition. */
export const partitionName = (name: string, partition: number): string => (partition === 0 ? name : `${partition}/${name}`)

export const partitionNames = ({ name, partitions }: Pick<Processor, 'name' | 'partitions'>): readonly string[] =>
  Array.from({ length: partitions }, (_, partition) => partitionName(name, partition))

interface Taken {
  readonly partition: number
  readonly name: string
  readonly fence: number
}

/** Takes this process's part of the partitions; each continues from its checkpoint. */
export async function takePartitions(core: ConsumerCore, processor: Processor): Promise<Partitions> {
  const taken: Taken[] = []
  try {
    const remainingMs = await takeShare(core, processor, taken)
    let start: Promise<Position> | undefined
    const startOnce = () => (start ??= startOf(core, processor))
    const checkpoints = await eachEnded(taken.map((one) => checkpointOf(core, processor, one, startOnce)))
    return { checkpoints, remainingMs }
  } catch (error) {
    // Nobody shall wait for leases that nobody works under.
    await giveBack(core, taken).catch(() => {})
    throw error
  }
}

async function takeShare(core: ConsumerCore, processor: Processor, taken: Taken[]): Promise<number> {
  const { store, holder, leaseMs, runtime } = core
  const names = partitionNames(processor)
  const others = new Map<string, number>()
  const acquire = async (name: string) => {
    const answer = await store.acquireLease({ name, holder, ttlMs: leaseMs })
    if (answer.acquired) return answer.fence
    others.set(answer.holder, Math.max(others.get(answer.holder) ?? 0, answer.remainingMs))
    return undefined
  }
  const first = Math.floor(runtime.random() * names.length)
  await eachEnded(
    names.map(async (_, i) => {
      const partition = (first + i) % names.length
      const name = names[partition] as string
      const fence = await acquire(name)
      if (fence !== undefined) taken.push({ partition, name, fence })
    }),
  )
  if (names.length > 1) {
    // A process without a partition takes a lease of its own, which those that have some look for.
    const waiting = `waiting/${processor.name}`
    const fence = await acquire(waiting)
    if (fence !== undefined && taken.length > 0) await store.releaseLease({ name: waiting, fence })
  }
  await giveBack(core, taken.splice(Math.ceil(names.length / (others.size + 1))))
  return Math.max(0, ...others.values())
}

const giveBack = ({ store }: ConsumerCore, taken: readonly Taken[]) =>
  eachEnded(taken.map(({ name, fence }) => store.releaseLease({ name, fence })))

async function checkpointOf(
  core: ConsumerCore,
  { from, partitions }: Processor,
  { name, partition, fence }: Taken,
  startOnce: () => Promise<Position>,
): Promise<LogCheckpoint> {
  const text = (await core.store.readCheckpoint(name))?.position ?? null
  const progress = text === null ? { epoch: 1, at: await startOnce() } : readProgress(text)
  const lease = new Lease(core, name, fence, text)
  const checkpoint = new LogCheckpoint(lease, partition, partitions, progress, new Sequences(core.store))
  if (text === null && from !== 'beginning') await checkpoint.save()
  return checkpoint
}

async function startOf(core: ConsumerCore, { name, from, partitions }: Processor): Promise<Position> {
  if (from === 'beginning') return beginning
  if (from !== 'now') return from
  if (partitions === 1) return lastOf(core)
  // A partition may be taken for the first time long after the others: all begin where the first one did.
  return (await readOrCreate(core, startRows, name, async () => ({ position: await lastOf(core) }))).position as Position
}

/** What is in flight now may be stored later, and must not be passed over: so it is where the feed can read to. */
const lastOf = async ({ store }: ConsumerCore): Promise<Position> => (await store.lastPosition()) ?? beginning
