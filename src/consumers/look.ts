import { isCqrsError, type StoppedError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { StoredConsumer } from '../store/consumer.ts'
import { processorRows, type StoppedRow, stoppedRows } from '../store/internal-rows.ts'
import type { StoredView } from '../store/store.ts'
import type { ConsumerCore } from './core.ts'
import { findFailed, nextDue } from './failures.ts'
import { type Layout, layoutOf, partitionNames, progressIn, undivided } from './layout.ts'
import { findOldest } from './oldest.ts'
import { beginning } from './positions.ts'
import type { Processor } from './processor.ts'

/** Failed aggregates that are counted. */
const mostCounted = 100
/** Pages that are searched for the oldest event of a consumer with several partitions. */
const mostPages = 3

/** What a look at a consumer is about. */
export interface Watched {
  readonly processor: Processor
  /** `other`: the rows in use are of another version. `written`: commands write them. */
  readonly rows: 'own' | 'other' | 'written'
  /** Why this program leaves the rows to a newer one. */
  readonly outdated?: unknown
  readonly toError: (stopped: StoppedRow) => StoppedError
}

/** Who holds leases of a consumer. */
export interface Holder {
  /** As its app calls itself: `following.holder` and a random text. */
  readonly holder: string
  readonly isThisApp: boolean
  /** How many partitions it holds. */
  readonly partitions: number
  /** For how long, unless it renews its lease: the longest of them. */
  readonly remainingMs: number
}

/** What is stored of a consumer, at one moment. */
export interface Look {
  /** All up to here is done; `undefined` without a global order. */
  readonly position: Position | undefined
  /** Of the log, at that moment. */
  readonly end: Position
  /** An event of its own waits, as far as that can be told. */
  readonly isLate: boolean
  readonly oldest: StoredEvent | undefined
  readonly holders: readonly Holder[]
  readonly parked: number
  readonly retrying: number
  readonly isMore: boolean
  readonly nextTryAt: string | undefined
  readonly stopped: (StoppedRow & { readonly error: StoppedError }) | undefined
  /** It is left to a newer program. */
  readonly outdated: unknown
}

/** Looks at many consumers together: takes nothing, and moves nothing. */
export async function look(core: ConsumerCore, all: readonly Watched[]): Promise<readonly Look[]> {
  const { store } = core
  const { globalOrder } = store.capabilities
  const keys = all.flatMap(({ processor: { name } }) => [stoppedRows.key(name), processorRows.key(name)])
  const [rows, end] = await Promise.all([store.readViews(keys), globalOrder ? store.endPosition() : undefined])
  const found = all.map((watched, i) => seenOf(watched, rows[2 * i], rows[2 * i + 1]))
  const names = found.map(({ watched: { processor }, layout }) =>
    partitionNames(processor.name, globalOrder ? layout : undivided),
  )
  const stored = await readStored(core, names.flat())
  let next = 0
  return Promise.all(
    found.map((one, i) => {
      const own = stored.slice(next, next + (names[i] as readonly string[]).length)
      next += own.length
      return lookAt(core, one, own, end ?? beginning)
    }),
  )
}

interface Seen {
  readonly watched: Watched
  readonly layout: Layout
  /** It was run before. */
  readonly isBegun: boolean
  readonly stopped: StoppedRow | undefined
  readonly outdated: unknown
}

function seenOf(watched: Watched, stoppedRow: StoredView | undefined, row: StoredView | undefined): Seen {
  const { name } = watched.processor
  const said = processorRows.parse(name, row).value
  const seen = { watched, isBegun: said !== undefined, stopped: stoppedRows.parse(name, stoppedRow).value }
  try {
    return { ...seen, layout: layoutOf(name, said), outdated: watched.outdated }
  } catch (error) {
    return { ...seen, layout: undivided, outdated: error }
  }
}

async function readStored({ store }: ConsumerCore, names: readonly string[]): Promise<readonly StoredConsumer[]> {
  if (store.readConsumers !== undefined) return store.readConsumers(names)
  const checkpoints = await Promise.all(names.map((name) => store.readCheckpoint(name)))
  return checkpoints.map((checkpoint) => (checkpoint === undefined ? {} : { checkpoint }))
}

async function lookAt(core: ConsumerCore, seen: Seen, stored: readonly StoredConsumer[], end: Position): Promise<Look> {
  const { watched, stopped } = seen
  const [place, failed] = await Promise.all([placeOf(core, seen, stored, end), failedOf(core, watched.processor)])
  return {
    ...{ outdated: seen.outdated, ...place, ...failed, end },
    holders: holdersOf(core, stored),
    stopped: stopped && { ...stopped, error: watched.toError(stopped) },
  }
}

function holdersOf({ holder }: ConsumerCore, stored: readonly StoredConsumer[]): readonly Holder[] {
  const holders = new Map<string, Holder>()
  for (const { lease } of stored) {
    if (lease === undefined) continue
    const { partitions = 0, remainingMs = 0 } = holders.get(lease.holder) ?? {}
    holders.set(lease.holder, {
      holder: lease.holder,
      isThisApp: lease.holder === holder(),
      partitions: partitions + 1,
      remainingMs: Math.max(remainingMs, lease.remainingMs),
    })
  }
  return [...holders.values()]
}

async function failedOf(core: ConsumerCore, { mode, name }: Processor) {
  if (mode === 'fold') return { parked: 0, retrying: 0, isMore: false, nextTryAt: undefined }
  const { items, next } = await findFailed(core, name, mostCounted)
  const times = items.flatMap(({ value }) => value?.nextTryAt ?? []).sort()
  const isMore = next !== undefined
  const nextTryAt = isMore ? (await nextDue(core, name))?.toISOString() : times[0]
  return { parked: items.length - times.length, retrying: times.length, isMore, nextTryAt }
}

type Place = Pick<Look, 'position' | 'isLate' | 'oldest'> & { readonly outdated?: unknown }

async function placeOf(core: ConsumerCore, seen: Seen, stored: readonly StoredConsumer[], end: Position): Promise<Place> {
  const { watched, layout, isBegun } = seen
  const { from, mode } = watched.processor
  const nothing = { isLate: false, oldest: undefined }
  if (!core.store.capabilities.globalOrder) return { ...nothing, position: undefined }
  if (watched.rows === 'written') return { ...nothing, position: end }
  if (watched.rows === 'other') return { position: beginning, isLate: end !== beginning, oldest: undefined }
  if (mode === 'act' && !isBegun && from === 'now') return { ...nothing, position: end }
  try {
    const progresses = stored.map(({ checkpoint }, partition) => progressIn(layout, partition, checkpoint?.position))
    const isAtStart = mode === 'act' && !isBegun && from !== 'beginning' && from !== 'now'
    const places = isAtStart ? [{ epoch: 1, at: from }] : progresses
    const { position, event, isSure } = await findOldest(core, watched.processor, places, { end, mostPages })
    return { position, isLate: event !== undefined || !isSure, oldest: event }
  } catch (error) {
    if (!isCqrsError(error, 'SCHEMA_TOO_NEW')) throw error
    return { position: beginning, isLate: true, oldest: undefined, outdated: error }
  }
}
