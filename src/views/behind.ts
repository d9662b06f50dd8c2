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

/** A row that says it knows nothing: `null` at sequence 0, which no other row is. */
export const isBehind = (row: StoredView | undefined): boolean => row !== undefined && row.view === null && row.sequence === 0

export const outdated = ({ name, viewVersion }: ViewDefinition, version: string): ViewOutdatedError =>
  new ViewOutdatedError(
    `The rows of the view '${name}' are of version '${version}', and this program has version '${viewVersion}'. A newer program rebuilds them first (app.start(), app.drain() or rebuild()); an older one must be replaced.`,
  )

/** Says, together with the events, that the row is behind them. */
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
 * How often rows of the view have been made anew, and 0 where no program ever left one behind. Rows that are read between two equal numbers, and before the marks were
 * read, are all there: a mark is only taken away together with a new number.
 */
async function readCatchUps({ store }: ViewCore, view: ViewDefinition, generation: number): Promise<number> {
  return (await catchUpRows.read(store, placeOf(view, generation))).version
}

/** What that number was when this process asked last. */
export const knownCatchUps = ({ catchUps }: ViewCore, view: ViewDefinition, { generation }: Target): number =>
  catchUps.get(placeOf(view, generation)) ?? 0

/** Whether no row was left behind by another program when rows were read: after `known` was, and before now. */
export async function nothingWasBehind(core: ViewCore, view: ViewDefinition, target: Target, known: number): Promise<boolean> {
  const wasBehind = known > 0 && (await recomputeStale(core, view, target))
  const now = await readCatchUps(core, view, target.generation)
  core.catchUps.set(placeOf(view, target.generation), now)
  return now === known && !wasBehind
}

/** Makes rows anew that other programs have left behind; all of the view's, or one. False when there were none. */
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
  // In this order: a row that is left behind again after the mark was read has moved the mark, and then nothing is stored here.
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
  // A conflict means that somebody else was at it, or that other rows are live: whoever asked looks again.
  if (views.length > 0 && (await saveRows(core, views)) === 'superseded') await currentRowsNow(core, view)
}

/** Makes one row anew in its place. @throws ValidationError where the row is not of one aggregate alone, ViewOutdatedError */
export async function rebuildRow(core: ViewCore, view: ViewDefinition, id: string): Promise<void> {
  if (!view.followsOne)
    throw new ValidationError(
      `View '${view.name}': a single row can be rebuilt of a view of one aggregate without an id of its own; rebuild this one as a whole.`,
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

/** The row as all events of its aggregate make it. */
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

/** Names a generation of a view; no digest, so no mark's id. */
const placeOf = ({ storedAs }: ViewDefinition, generation: number): string => `${generation}/${storedAs}`
