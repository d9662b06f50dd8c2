import { saveRows } from '../consumers/rows.ts'
import { ValidationError, ViewOutdatedError } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import { readEvents } from '../execution/load.ts'
import type { ViewWrite } from '../store/commit.ts'
import { encodeIndexValue } from '../store/index-value.ts'
import { behindRows, catchUpRows } from '../store/internal-rows.ts'
import type { StoredView } from '../store/store.ts'
import { sha256 } from '../util/digest.ts'
import { currentRowsNow } from './current.ts'
import { foldView, rowWrite } from './fold.ts'
import type { Target } from './generations.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'

/** A stale row: `null` at sequence 0, which no other row has. */
export const isBehind = (row: StoredView | undefined): boolean => row !== undefined && row.view === null && row.sequence === 0

export const outdated = ({ name, viewVersion }: ViewDefinition, version: string): ViewOutdatedError =>
  new ViewOutdatedError(
    `The rows of the view '${name}' have version '${version}'; this program has version '${viewVersion}'. If this program is newer, run app.start(), app.drain() or rebuild(). If it is older, replace it.`,
  )

/** Returns writes that mark a row as stale, to be stored together with the events. */
export async function behindWrites(
  core: ViewCore,
  { view, id, target }: { readonly view: ViewDefinition; readonly id: string; readonly target: Target },
  row: StoredView | undefined,
): Promise<readonly ViewWrite[]> {
  const [mark, catchUps] = await Promise.all([
    readMark(core, view, id, target.generation),
    readCatchUps(core, view, target.generation),
  ])
  return [
    ...(catchUps === 0 ? [catchUpsWrite(view, target.generation, catchUps)] : []),
    {
      name: view.storedAs,
      generation: target.generation,
      id,
      expectedVersion: row?.version ?? 0,
      view: null,
      sequence: 0,
      indexes: [],
    },
    behindRows.write(mark, { id, view: placeOf(view, target.generation) }),
  ]
}

/**
 * Counts the repairs of stale rows; 0 if no process ever left one. Marks are removed together with
 * a new number, so a read between equal numbers without a mark missed nothing.
 */
async function readCatchUps({ store }: ViewCore, view: ViewDefinition, generation: number): Promise<number> {
  return (await catchUpRows.read(store, placeOf(view, generation))).version
}

/** Returns the number of repairs that this process read last. */
export const knownCatchUps = ({ catchUps }: ViewCore, view: ViewDefinition, { generation }: Target): number =>
  catchUps.get(placeOf(view, generation)) ?? 0

/** Returns true if no row was stale during a read: after `known` was read, and before now. */
export async function nothingWasBehind(core: ViewCore, view: ViewDefinition, target: Target, known: number): Promise<boolean> {
  const wasBehind = known > 0 && (await recomputeStale(core, view, target))
  const now = await readCatchUps(core, view, target.generation)
  core.catchUps.set(placeOf(view, target.generation), now)
  return now === known && !wasBehind
}

/**
 * Recomputes rows that other processes left stale: all of the view, or one. Returns false if there
 * are none.
 */
export async function recomputeStale(core: ViewCore, view: ViewDefinition, target: Target, id?: string): Promise<boolean> {
  const ids = id === undefined ? await markedIds(core, view, target.generation) : [id]
  for (const one of ids) await catchUpRow(core, view, target.generation, one)
  return ids.length > 0
}

async function markedIds({ store }: ViewCore, view: ViewDefinition, generation: number): Promise<readonly string[]> {
  const where = [{ index: 'view', is: '=' as const, value: encodeIndexValue(placeOf(view, generation)) }]
  const { items } = await store.findViews({ name: behindRows.name, generation: 1, where, limit: 1_000 })
  return items.map((item) => (item.view as { id: string }).id)
}

async function catchUpRow(core: ViewCore, view: ViewDefinition, generation: number, id: string): Promise<void> {
  // Read the mark first: if the row becomes stale again, the mark moves, and this write conflicts.
  const mark = await readMark(core, view, id, generation)
  const [row] = await core.store.readViews([{ name: view.storedAs, generation, id }])
  const views: ViewWrite[] = []
  if (mark.value !== undefined) {
    views.push(behindRows.write(mark, null))
    views.push(catchUpsWrite(view, generation, await readCatchUps(core, view, generation)))
  }
  if (isBehind(row)) {
    const { folded, last } = await fromHistory(core, view, id)
    if (last !== undefined) views.push(rowWrite(view, { generation, id, expectedVersion: row?.version ?? 0 }, folded, last))
  }
  // A conflict means that another process repaired the row or switched the view: the caller checks
  // again.
  if (views.length > 0 && (await saveRows(core, views)) === 'superseded') await currentRowsNow(core, view)
}

/**
 * Rebuilds one row in its place.
 *
 * @throws ValidationError when a row has no single aggregate, ViewOutdatedError
 */
export async function rebuildRow(core: ViewCore, view: ViewDefinition, id: string): Promise<void> {
  if (!view.followsOne)
    throw new ValidationError(
      `View '${view.name}': rebuild: id works only for a view of one aggregate without a custom id. Rebuild this view as a whole.`,
    )
  for (;;) {
    const target = await currentRowsNow(core, view)
    if (!target.isOwn) throw outdated(view, target.version)
    const [row] = await core.store.readViews([{ name: view.storedAs, generation: target.generation, id }])
    const { folded, last } = await fromHistory(core, view, id)
    if (last === undefined && row === undefined) return
    const place = { generation: target.generation, id, expectedVersion: row?.version ?? 0 }
    const write = last === undefined ? { name: view.storedAs, ...place, view: null } : rowWrite(view, place, folded, last)
    if ((await saveRows(core, [write])) === 'saved') return
  }
}

/** Computes a row from all events of its aggregate. */
export async function fromHistory(
  core: ViewCore,
  view: ViewDefinition,
  aggregateId: string,
  from: { readonly view: unknown; readonly sequence: number } = { view: null, sequence: 0 },
): Promise<{ readonly folded: unknown; readonly last: EventEnvelope | undefined }> {
  const definition = core.definitions.get(view.aggregateTypes[0] as string) as AggregateDefinition
  let folded = from.view
  let last: EventEnvelope | undefined
  for await (const event of readEvents(core, { definition, aggregateId }, from.sequence)) {
    folded = foldView(view, folded, event)
    last = event
  }
  return { folded, last }
}

async function readMark({ store }: ViewCore, view: ViewDefinition, rowId: string, generation: number) {
  const id = await sha256(`${view.storedAs}\n${generation}\n${rowId}`)
  return behindRows.read(store, id)
}

const catchUpsWrite = (view: ViewDefinition, generation: number, version: number): ViewWrite =>
  catchUpRows.write({ id: placeOf(view, generation), version }, {})

/**
 * Names a generation of a view. Marks have digests as ids, so these names never collide with
 * theirs.
 */
const placeOf = ({ storedAs }: ViewDefinition, generation: number): string => `${generation}/${storedAs}`
