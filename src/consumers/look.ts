import { isCqrsError, type StoppedError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { StoredConsumer } from '../store/consumer.ts'
import { processorRows, type StoppedRow, stoppedRows } from '../store/internal-rows.ts'
import type { StoredView } from '../store/store.ts'
import type { ConsumerCore } from './core.ts'
import { findFailed, findInState } from './find-failed.ts'
import { type Layout, layoutOf, partitionNames, progressIn, undivided } from './layout.ts'
import { findOldest } from './oldest.ts'
import { beginning, lowest } from './positions.ts'
import { keepsStart, type Processor } from './processor.ts'
import { startOf } from './progress.ts'

/** Limit of failed aggregates that are counted. */
const mostCounted = 100
/** Limit of pages that are searched for the oldest event of a consumer with several partitions. */
const mostPages = 3

/** Input for the status of a consumer. */
export interface Watched {
  readonly processor: Processor
  /** `other`: the rows in use have another version. `written`: commands write them. */
  readonly rows: 'own' | 'other' | 'written'
  /** With `other`: the processor fills rows that will replace them. */
  readonly isRebuilding?: boolean
  /** The error, if this program leaves the rows to a newer one. */
  readonly outdated?: unknown
  readonly toError: (stopped: StoppedRow) => StoppedError
}

/** An app that holds leases of a consumer. */
export interface Holder {
  /** Name of the app: `following.holder` and a random text. */
  readonly holder: string
  readonly isThisApp: boolean
  /** Number of partitions it holds. */
  readonly partitions: number
  /** Longest remaining time of its leases in milliseconds, unless it renews them. */
  readonly remainingMs: number
}

/** The stored state of a consumer at one moment. */
export interface Look {
  /** Everything up to here is done; `undefined` without a global order. */
  readonly position: Position | undefined
  /** End of the log at that moment. */
  readonly end: Position
  /** An event of its own waits, as far as known. */
  readonly isLate: boolean
  /**
   * Positions at the end of the log that are not readable yet, because older transactions are open.
   */
  readonly held: number
  /**
   * Progress of the rebuild if the rows in use have another version; `undefined` inside before it
   * begins.
   */
  readonly rebuild: { readonly reached: Position | undefined } | undefined
  readonly oldest: StoredEvent | undefined
  readonly holders: readonly Holder[]
  readonly parked: number
  readonly retrying: number
  readonly isMore: boolean
  /** Instances that are stuck; absent if it has no instances. */
  readonly stuck?: number | undefined
  readonly nextTryAt: string | undefined
  readonly stopped: (StoppedRow & { readonly error: StoppedError }) | undefined
  /** The error, if it is left to a newer program. */
  readonly outdated: unknown
}

/** Reads the state of many consumers together. Takes no lease and writes nothing. */
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
  /** It ran before. */
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

async function failedOf(core: ConsumerCore, { mode, name, stuck }: Processor) {
  if (mode === 'fold') {
    const found = await stuck?.(mostCounted)
    return { parked: 0, retrying: 0, isMore: found === mostCounted, nextTryAt: undefined, stuck: found }
  }
  const all = await findFailed(core, name, mostCounted)
  const isMore = all.next !== undefined
  // The first hundred may all have the same state.
  const some = isMore
    ? await Promise.all((['retrying', 'parked'] as const).map((state) => findInState(core, name, state, mostCounted)))
    : [all]
  const items = some.flatMap((page) => page.items)
  const times = items.flatMap(({ value }) => value.nextTryAt ?? []).sort()
  return { parked: items.length - times.length, retrying: times.length, isMore, nextTryAt: times[0] }
}

type Place = Pick<Look, 'position' | 'isLate' | 'oldest' | 'held' | 'rebuild'> & { readonly outdated?: unknown }

async function placeOf(core: ConsumerCore, seen: Seen, stored: readonly StoredConsumer[], end: Position): Promise<Place> {
  const { watched, layout, isBegun } = seen
  const { from } = watched.processor
  const keeps = keepsStart(watched.processor)
  const nothing = { isLate: false, oldest: undefined, held: 0, rebuild: undefined }
  if (!core.store.capabilities.globalOrder) return { ...nothing, position: undefined }
  if (watched.rows === 'written') return { ...nothing, position: end }
  if (keeps && !isBegun && from === 'now') return { ...nothing, position: end }
  try {
    const progresses = stored.map(({ checkpoint }, partition) => progressIn(layout, partition, checkpoint?.position))
    if (watched.rows === 'other') {
      const reached = watched.isRebuilding ? lowest(progresses.map(startOf)) : undefined
      return { ...nothing, position: beginning, isLate: end !== beginning, rebuild: { reached } }
    }
    const isAtStart = keeps && !isBegun && from !== 'beginning' && from !== 'now'
    const places = isAtStart ? [{ epoch: 1, at: from }] : progresses
    const { position, event, isSure } = await findOldest(core, watched.processor, places, { end, mostPages })
    const isLate = event !== undefined || !isSure
    return { ...nothing, position, isLate, oldest: event, held: isLate ? 0 : Math.max(0, Number(end) - Number(position)) }
  } catch (error) {
    if (!isCqrsError(error, 'SCHEMA_TOO_NEW')) throw error
    return { ...nothing, position: beginning, isLate: true, outdated: error }
  }
}
