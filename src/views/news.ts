import { type AggregateChange, placeIn, rowIdOf } from '../consumers/change.ts'
import { logPage } from '../consumers/log-page.ts'
import { viewConsumer } from '../consumers/names.ts'
import { beginning } from '../consumers/positions.ts'
import type { Position } from '../event-envelope.ts'
import { decodeApart } from '../evolution/decode.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import { aggregatePage } from '../execution/read-page.ts'
import type { StoredEvent } from '../store/commit.ts'
import { seenRows } from '../store/internal-rows.ts'
import { comparePositions } from '../store/order.ts'
import type { LogEvent } from '../store/store.ts'
import { isPosition } from '../util/names.ts'
import { idsOf } from './fold.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'

/** Limit of positions that are read again for `after`. */
const mostBack = 10_000
const eventsPerPage = 1_000
const aggregatesPerPage = 200
/** Number of aggregates whose last read event is remembered. */
const mostAggregates = 10_000

/** Rows that events touch. */
export interface Touched {
  readonly ids: ReadonlySet<string>
  /** Some event has unknown rows. */
  readonly isUnclear: boolean
  /** The last event that touches a row. */
  readonly last: StoredEvent | undefined
}

/** Touched rows between two places. */
export interface NewsPage extends Touched {
  readonly place: string
  readonly more: boolean
  /** Returns whether the view shows all of the page. */
  isShown(): Promise<boolean>
}

/**
 * Finds the rows that changed after a place: a position, or a cursor of the store. Serves one
 * reader that goes from page to page.
 */
export interface News {
  /** Returns whether a text may be a place. */
  isPlace(text: string): boolean
  /** Returns whether everything after a place is still readable and not too much. */
  reachesBack(place: string): Promise<boolean>
  /** Returns a place after everything that the view shows now. */
  end(): Promise<string>
  /** Reads a page. @throws StoreError `STORE_BEHIND` when the store cannot continue at `after` */
  nextPage(after: string): Promise<NewsPage>
}

/**
 * Returns the rows that events touch. The row of an unreadable event is still known if the view
 * follows one aggregate.
 */
export async function touchedBy(core: ViewCore, view: ViewDefinition, page: readonly StoredEvent[]): Promise<Touched> {
  const ids = new Set<string>()
  let isUnclear = false
  let last: StoredEvent | undefined
  const decoded = await decodeApart(core, (type) => core.definitions.get(type) as AggregateDefinition, page)
  for (const { stored, events, failure } of decoded)
    try {
      const touched =
        failure !== undefined && view.followsOne
          ? [stored.aggregateId]
          : events.filter(({ type }) => view.update.has(type)).flatMap((event) => idsOf(view, event))
      for (const id of touched) ids.add(id)
      isUnclear ||= failure !== undefined && !view.followsOne
      if (touched.length > 0 || failure !== undefined) last = stored
    } catch {
      // Its `id` throws: an async view stops there and reports the error.
      isUnclear = true
      last = stored
    }
  return { ids, isUnclear, last }
}

/** Reads news from the log. `position`: progress of the view. */
export function newsOfLog(core: ViewCore, view: ViewDefinition, position: () => Promise<Position>): News {
  const { store } = core
  const isAsync = view.consistency === 'async'
  let seen: LogEvent | undefined
  return {
    isPlace: isPosition,
    reachesBack: async (place) => {
      const last = (await store.lastPosition()) ?? beginning
      return comparePositions(place as Position, last) <= 0 && Number(last) - Number(place) <= mostBack
    },
    end: async () => (isAsync ? position() : ((await store.lastPosition()) ?? beginning)),
    nextPage: async (after) => {
      const page = await logPage(core, view.aggregateTypes, after as Position, eventsPerPage, seen)
      seen = page.last ?? seen
      const touched = await touchedBy(core, view, page.events)
      const awaited = isAsync ? touched.last?.position : undefined
      return {
        ...touched,
        place: page.position ?? after,
        more: page.more,
        isShown: async () => awaited === undefined || comparePositions(await position(), awaited) >= 0,
      }
    },
  }
}

/** Reads news from a store without a global order, aggregate by aggregate. */
export function newsOfAggregates(core: ViewCore, view: ViewDefinition): News {
  const { store } = core
  const read = new Map<string, number>()
  const readChanges = (request: { cursor?: string; limit: number }) =>
    (store.readChanges as NonNullable<typeof store.readChanges>)(request)

  /**
   * Reads the new events of an aggregate. At first all of them, since a change does not say how
   * many are new.
   */
  async function eventsOf(
    { aggregateType, aggregateId, sequence }: AggregateChange,
    from: number,
  ): Promise<readonly StoredEvent[]> {
    const events: StoredEvent[] = []
    for (let after = from, more = from < sequence; more; ) {
      const page = await aggregatePage({ store }, { aggregateType, aggregateId, after, upTo: sequence })
      events.push(...page.events)
      after = page.events.at(-1)?.sequence ?? sequence
      more = page.more
    }
    return events
  }

  async function touchedIn(changes: readonly AggregateChange[]): Promise<Touched> {
    if (view.followsOne) return { ids: new Set(changes.map((one) => one.aggregateId)), isUnclear: false, last: undefined }
    const events: StoredEvent[] = []
    for (const change of changes) events.push(...(await eventsOf(change, read.get(placeIn(change)) ?? 0)))
    const touched = await touchedBy(core, view, events)
    // Only after success: a page that fails is read again.
    for (const change of changes) {
      read.delete(placeIn(change))
      read.set(placeIn(change), change.sequence)
    }
    for (const place of read.keys()) if (read.size > mostAggregates) read.delete(place)
    return touched
  }

  /**
   * Returns whether the view has processed the changes. The marks are those of this process's live
   * generation.
   */
  async function isProjected(changes: readonly AggregateChange[]): Promise<boolean> {
    const consumer = viewConsumer(view.storedAs, core.generations.known(view)?.generation ?? 1)
    const ids = await Promise.all(changes.map((change) => rowIdOf(consumer, change)))
    const rows = await store.readViews(ids.map((id) => seenRows.key(id)))
    return changes.every(({ sequence }, i) => (seenRows.parse(ids[i] as string, rows[i]).value?.sequence ?? 0) >= sequence)
  }

  return {
    isPlace: () => true,
    reachesBack: async () => true,
    end: async () => (await readChanges({ limit: 1 })).cursor,
    nextPage: async (after) => {
      const { changes, cursor, more } = await readChanges({ cursor: after, limit: aggregatesPerPage })
      const own = changes.filter(({ aggregateType }) => view.aggregateTypes.includes(aggregateType))
      const touched = await touchedIn(own)
      const isShown = async () => view.consistency === 'inline' || own.length === 0 || isProjected(own)
      return { ...touched, place: cursor, more, isShown }
    },
  }
}
