import type { Position } from '../event-envelope.ts'
import { startRows } from '../store/internal-rows.ts'
import type { ConsumerCore, Consumption } from './consumption.ts'
import { eachEnded } from './each-ended.ts'
import { beginning, Lane, readOrCreate } from './lane.ts'
import { slotNames } from './slots.ts'

/** What a consumer may work on. */
export interface Taken {
  readonly lanes: Lane[]
  /** For how long at the most others have what could not be taken. */
  readonly remainingMs: number
}

/** A lease that was taken, of one slot or of all. */
interface Held {
  readonly slot: number
  readonly name: string
  readonly fence: number
}

/** Takes the lease of a consumer or, where it is divided into slots, its share of them; each goes on from its checkpoint. */
export async function takeLanes(core: ConsumerCore, consumption: Consumption): Promise<Taken> {
  const held: Held[] = []
  try {
    const remainingMs = await takeShare(core, consumption, held)
    let start: Promise<Position> | undefined
    const startOnce = () => (start ??= startOf(core, consumption))
    return { lanes: await eachEnded(held.map((one) => laneOf(core, consumption, one, startOnce))), remainingMs }
  } catch (error) {
    // Nobody shall wait for leases under which nobody works.
    await giveBack(core, held).catch(() => {})
    throw error
  }
}

async function takeShare(core: ConsumerCore, { name, slotted }: Consumption, held: Held[]): Promise<number> {
  const { store, holder, leaseMs, runtime } = core
  const names = slotNames(name, slotted)
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
      const slot = (first + i) % names.length
      const name = names[slot] as string
      const fence = await acquire(name)
      if (fence !== undefined) held.push({ slot, name, fence })
    }),
  )
  if (slotted) {
    // Who got no slot says so by a lease of its own, and who has some looks for it.
    const knock = `knock/${name}`
    const fence = await acquire(knock)
    if (fence !== undefined && held.length > 0) await store.releaseLease({ name: knock, fence })
  }
  // Others have some or wait for some: they get their share.
  const surplus = held.splice(Math.ceil(names.length / (others.size + 1)))
  await giveBack(core, surplus)
  return Math.max(0, ...others.values())
}

const giveBack = ({ store }: ConsumerCore, held: readonly Held[]) =>
  eachEnded(held.map(({ name, fence }) => store.releaseLease({ name, fence })))

async function laneOf(
  core: ConsumerCore,
  { from, slotted }: Consumption,
  { name, slot, fence }: Held,
  startOnce: () => Promise<Position>,
): Promise<Lane> {
  const saved = (await core.store.readCheckpoint(name))?.position ?? null
  const start = (saved as Position | null) ?? (await startOnce())
  const at = { name, slot: slotted ? slot : undefined, fence, saved, start, ttlMs: core.leaseMs }
  const lane = new Lane(core, core.consumerQueue, at)
  if (saved === null && from !== 'beginning') await lane.save(start)
  return lane
}

async function startOf(core: ConsumerCore, { name, from, slotted }: Consumption): Promise<Position> {
  if (from === 'beginning') return beginning
  if (from !== 'now') return from
  if (!slotted) return lastOf(core)
  // A slot may be taken for the first time long after the others: all begin where the first one did.
  return (await readOrCreate(core, startRows, name, async () => ({ position: await lastOf(core) }))).position as Position
}

/** What is under way now may be stored later, and must not be passed over: so it is where the feed can read to. */
const lastOf = async ({ store }: ConsumerCore): Promise<Position> => (await store.lastPosition()) ?? beginning
