import type { StoredView } from '../store/store.ts'
import { deepFreeze } from '../util/json.ts'
import { isBehind, outdated, recomputeStale } from './behind.ts'
import { currentRows, currentRowsNow } from './current.ts'
import type { Target } from './generations.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'

/** Ids per read: no store has to take a longer list. */
const mostIds = 1_000

/** Frozen rows of one generation by id; a deleted row is `null`. */
export interface LiveRows {
  readonly generation: number
  readonly rows: ReadonlyMap<string, StoredView | undefined>
}

/**
 * Reads rows of the live generation, complete even while the view switches.
 *
 * @throws ViewOutdatedError
 */
export async function readLiveRows(core: ViewCore, view: ViewDefinition, ids: readonly string[]): Promise<LiveRows> {
  for (;;) {
    const target = await currentRows(core, view)
    if (!target.isOwn) throw outdated(view, target.version)
    const found = await readAll(core, view, ids)
    const other = found.find((row) => row !== undefined && row.generation !== target.generation)
    const any = other ?? found.find((row) => row !== undefined)
    if (!(await isCurrent(core, view, target, any?.generation))) continue
    const stale = ids.filter((_, i) => isBehind(found[i]))
    for (const id of stale) await recomputeStale(core, view, target, id)
    if (stale.length > 0) continue
    return { generation: target.generation, rows: new Map(ids.map((id, i) => [id, found[i] && deepFreeze(found[i])])) }
  }
}

async function readAll(core: ViewCore, { storedAs: name }: ViewDefinition, ids: readonly string[]) {
  const found: (StoredView | undefined)[] = []
  for (let i = 0; i < ids.length; i += mostIds) {
    const keys = ids.slice(i, i + mostIds).map((id) => ({ name, generation: 'live' as const, id }))
    found.push(...(await core.store.readViews(keys)))
  }
  return found
}

/**
 * Returns whether rows were read from the live generation. Finding none may mean that another one
 * is live.
 */
export async function isCurrent(
  core: ViewCore,
  view: ViewDefinition,
  target: Target,
  found: number | undefined,
): Promise<boolean> {
  if (found === target.generation) return true
  const now = await currentRowsNow(core, view)
  return found === undefined && now.generation === target.generation && now.isOwn === target.isOwn
}
