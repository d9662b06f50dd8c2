import type { Position } from '../event-envelope.ts'
import { liveGeneration } from '../store/generations.ts'
import { compareBytes } from '../store/order.ts'
import type { IdsPage, IdsRequest, StoredKey, StoredView, ViewGeneration, ViewKey } from '../store/store.ts'

/** A stored event; `data` and `metadata` are JSON text. */
export interface EventRow {
  readonly position: Position
  readonly aggregateType: string
  readonly aggregateId: string
  readonly sequence: number
  readonly type: string
  readonly version: string
  readonly data: string
  readonly metadata: string
  readonly commitId: string
  readonly recordedAt: string
}

export interface AggregateRows {
  /** The event with sequence n has the index n - 1. */
  readonly events: EventRow[]
  snapshot?: { readonly sequence: number; readonly stateVersion: string; readonly version: number; readonly state: string }
  keys?: Map<string, StoredKey>
}

export interface ViewRow {
  readonly version: number
  /** JSON text, `null` for a deleted view. */
  readonly view: string
  readonly sequence: number | undefined
  /** Encoded values by index name. */
  readonly indexes: ReadonlyMap<string, string>
}

interface TypeRows {
  readonly byId: Map<string, AggregateRows>
  /** The ids in byte order: sorted on first use, dropped when an aggregate is added. */
  sortedIds?: readonly string[] | undefined
}

/** All data, in Maps, so that no user's name becomes a property of an object. */
export class Tables {
  /** The event with position n has the index n - 1. */
  readonly log: EventRow[] = []
  /** By name, generation, id. */
  readonly views = new Map<string, Map<number, Map<string, ViewRow>>>()
  readonly checkpoints = new Map<string, { readonly position: string; readonly fence: number; readonly commitId: string }>()
  readonly #types = new Map<string, TypeRows>()
  readonly #generations = new Map<string, readonly ViewGeneration[]>()

  aggregate(aggregateType: string, aggregateId: string): AggregateRows | undefined {
    return this.#types.get(aggregateType)?.byId.get(aggregateId)
  }

  aggregateToWrite(aggregateType: string, aggregateId: string): AggregateRows {
    const type: TypeRows = getOrAdd(this.#types, aggregateType, () => ({ byId: new Map() }))
    return getOrAdd(type.byId, aggregateId, () => {
      type.sortedIds = undefined
      return { events: [] }
    })
  }

  ids({ aggregateType, after, limit }: IdsRequest): IdsPage {
    const type = this.#types.get(aggregateType)
    if (type === undefined) return { items: [], more: false }
    type.sortedIds ??= [...type.byId.keys()].sort(compareBytes)
    const start = after === undefined ? 0 : firstPast(type.sortedIds, after)
    return { items: type.sortedIds.slice(start, start + limit), more: start + limit < type.sortedIds.length }
  }

  view(name: string, generation: number, id: string): ViewRow | undefined {
    return this.views.get(name)?.get(generation)?.get(id)
  }

  readGeneration(name: string, generation: ViewKey['generation']): number {
    return generation === 'live' ? liveGeneration(this.viewGenerations(name)) : generation
  }

  setView(name: string, generation: number, id: string, row: ViewRow): void {
    const generations = getOrAdd(this.views, name, () => new Map())
    getOrAdd(generations, generation, () => new Map()).set(id, row)
  }

  viewGenerations(name: string): readonly ViewGeneration[] {
    return this.#generations.get(name) ?? []
  }

  setViewGenerations(name: string, generations: readonly ViewGeneration[]): void {
    this.#generations.set(
      name,
      [...generations].sort((a, b) => a.generation - b.generation),
    )
  }
}

export function toStoredView(
  { name, generation, id }: Omit<ViewKey, 'generation'> & { readonly generation: number },
  { version, view, sequence }: ViewRow,
): StoredView {
  const row = { name, generation, id, version, view: JSON.parse(view) }
  return sequence === undefined ? row : { ...row, sequence }
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}

/** Returns the index of the first text after `after` in a sorted list. */
function firstPast(sorted: readonly string[], after: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareBytes(sorted[middle] as string, after) > 0) high = middle
    else low = middle + 1
  }
  return low
}
