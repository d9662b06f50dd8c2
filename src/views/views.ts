import { type ConsumerHandle, consumerHandle } from '../consumers/handle.ts'
import { ValidationError } from '../errors.ts'
import type { StoredView, ViewFind } from '../store/store.ts'
import { deepFreeze } from '../util/json.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { checkBoolean, checkCallOptions, checkId, checkPage } from '../util/options.ts'
import { parsePageCursor, toPageCursor } from '../util/page-cursor.ts'
import { fromHistory, isBehind, knownCatchUps, nothingWasBehind, outdated, recomputeStale } from './behind.ts'
import { Changes } from './changes.ts'
import { checkIndex, conditionsOf } from './conditions.ts'
import { currentRows } from './current.ts'
import type { Target } from './generations.ts'
import type { ViewChange } from './listener.ts'
import { isCurrent } from './live-rows.ts'
import { type RebuildOptions, rebuildOf } from './rebuild-handle.ts'
import type { ViewConsumer } from './view-consumer.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'
import type { ViewTypes } from './view-types.ts'

/** A stored row of a view. */
export interface ViewRow<W> {
  /** Id of the aggregate, or the one that the view's `id` returned. */
  readonly id: string
  /** Frozen. */
  readonly view: W
  /** How many times the row was saved or deleted. */
  readonly version: number
}

/** Reads, observes and rebuilds the rows of one view. */
export interface ViewHandle<T extends ViewTypes> extends ConsumerHandle {
  /**
   * Returns the row of this id, or `undefined`.
   *
   * With `fresh`, the row includes everything stored so far, also in an async view. Only for views
   * of one aggregate without a custom `id`.
   *
   * @throws ValidationError for an unfit id or option, ViewOutdatedError, StoreError, ClosedError
   */
  load(id: string, options?: { readonly fresh?: boolean | undefined }): Promise<ViewRow<T['view']> | undefined>
  /**
   * Finds rows whose indexed fields meet all of `where`; an empty `where` finds all.
   *
   * Rows come in byte order of their ids, or by `orderBy`. A condition is a value or a range.
   * `limit`: 1–1,000, default 100. If `next` is present, more rows may follow: pass it as `after`.
   *
   * @throws ValidationError for a field that is not an index, an unfit value or option,
   * ViewOutdatedError, StoreError, ClosedError
   */
  find(
    where?: { readonly [K in T['indexes']]?: K extends keyof T['view'] ? IndexCondition<T['view'][K]> : never },
    options?: FindOptions<T['indexes']>,
  ): Promise<{ readonly items: readonly ViewRow<T['view']>[]; readonly next?: string }>
  /**
   * Reports each row that changes, until the iteration ends.
   *
   * It begins with the call: rows that you `find` afterwards and the changes together miss nothing.
   * An inline row is reported when it is stored, an async one when the view shows it. A slow reader
   * receives only the latest content. The iteration ends with `signal` and with the app. The app
   * need not be started.
   *
   * @throws ValidationError for an unfit option, DefinitionError if the store reports no changes,
   * ClosedError; while iterating also ViewOutdatedError, StoreError
   *
   * @example
   * ```ts
   * import { createApp, defineAggregate, defineView, typed } from 'cqrs-es'
   * import { memoryStore } from 'cqrs-es/memory'
   *
   * const task = defineAggregate({
   *   type: 'task',
   *   events: { Assigned: typed<{ to: string }>() },
   *   commands: { Assign: typed<{ to: string }>() },
   *   initialState: () => ({}),
   * }).implement({
   *   handle: { Assign: (_, data) => ({ type: 'Assigned', data }) },
   *   apply: { Assigned: (state) => state },
   * })
   * const tasks = defineView({
   *   name: 'tasks',
   *   aggregates: [task],
   *   initialView: () => ({ to: '' }),
   *   update: { Assigned: (_, { data }) => data },
   *   indexes: ['to'],
   * })
   * const app = createApp({ store: memoryStore(), aggregates: { task }, views: { tasks } })
   *
   * const changes = app.views.tasks.changes({ where: { to: 'ann' } })
   * const page = await app.views.tasks.find({ to: 'ann' })
   * await app.aggregates.task.execute('t-1', { type: 'Assign', data: { to: 'ann' } })
   * for await (const change of changes) {
   *   if (change.kind === 'changed') console.log(page.items.length, change.id, change.view.to) // 0 t-1 ann
   *   break
   * }
   * await app.close()
   * ```
   */
  changes(options?: ChangesOptions<T>): AsyncIterable<ViewChange<T['view']>>
  /**
   * Rebuilds all rows from the events in a new generation, then switches to it.
   *
   * Commands and readers continue meanwhile. An interrupted rebuild resumes; one that has stopped
   * starts over.
   *
   * @throws StoppedError at an event that cannot be folded, ViewOutdatedError when another version
   * won, StoreError, ClosedError, the signal's reason
   */
  rebuild(options?: RebuildOptions): Promise<void>
}

/**
 * Condition on an index: a value or a range; an `undefined` bound is ignored.
 *
 * Values are ordered: `null`, `false`, `true`, numbers, texts by their bytes.
 */
export type IndexCondition<V> =
  | V
  | { readonly gt?: V | undefined; readonly gte?: V | undefined; readonly lt?: V | undefined; readonly lte?: V | undefined }

/** Options of `changes`. */
export interface ChangesOptions<T extends ViewTypes> {
  /**
   * Reports only rows that meet these conditions, as in `find`. A changed row that does not meet
   * them is `gone`.
   */
  readonly where?: { readonly [K in T['indexes']]?: K extends keyof T['view'] ? IndexCondition<T['view'][K]> : never } | undefined
  /** `cursor` of the last change of an earlier iteration. Default: now. */
  readonly after?: string | undefined
  /** Ends the iteration. */
  readonly signal?: AbortSignal | undefined
}

/** Page and order of a `find`. */
export interface FindOptions<I extends string = string> {
  /** Page size, 1–1,000. Default 100. */
  readonly limit?: number | undefined
  /** `next` of the page before, from a `find` with the same order. */
  readonly after?: string | undefined
  /** Index to order by, then by id; rows without a value are left out. Default: by id. */
  readonly orderBy?: I | undefined
  /** Greatest value first. Default `false`. */
  readonly descending?: boolean | undefined
}

export function viewsOf(
  core: ViewCore,
  view: ViewDefinition,
  consumer: ViewConsumer,
  lifecycle: Lifecycle,
): ViewHandle<ViewTypes> {
  const at = `View '${view.name}'`
  const run = <T>(method: string, task: () => Promise<T>) => lifecycle.run(`${at}: ${method}`, task)
  const changes = new Changes(core, view, () => consumer.position(), lifecycle)
  return Object.freeze({
    load: (id: string, options: { fresh?: boolean } = {}) =>
      run('load', async () => {
        checkId(`${at}: load`, id)
        checkCallOptions(`${at}: load`, options, ['fresh'])
        const { fresh = false } = options
        checkBoolean(`${at}: load: fresh`, fresh, ValidationError)
        if (fresh && !view.followsOne)
          throw new ValidationError(
            `${at}: load: fresh works only for a view of one aggregate without a custom id. Use waitFor for this view.`,
          )
        await changes.begun()
        const row = await loadRow(core, view, id, fresh)
        return row === undefined || row.view === null ? undefined : rowOf(row)
      }),
    find: (where: object = {}, options: FindOptions = {}) =>
      run('find', async () => {
        checkCallOptions(`${at}: find`, options, ['limit', 'after', 'orderBy', 'descending'])
        const { limit = 100, after, orderBy, descending = false } = options
        checkPage(`${at}: find`, limit, undefined)
        checkBoolean(`${at}: find: descending`, descending, ValidationError)
        if (orderBy !== undefined) checkIndex(view, orderBy)
        else if (descending) throw new ValidationError(`${at}: find: descending needs orderBy.`)
        const order = orderBy === undefined ? {} : { orderBy: { index: orderBy, descending } }
        const from = after === undefined ? {} : { after: parsePageCursor(`${at}: find`, after, orderBy !== undefined) }
        const conditions = conditionsOf(view, 'find', where)
        await changes.begun()
        const page = await findRows(core, view, { where: conditions, limit, ...order, ...from })
        return { items: page.items.map(rowOf), ...(page.next === undefined ? {} : { next: toPageCursor(page.next) }) }
      }),
    changes: (options?: object) => changes.open(options) as AsyncIterable<ViewChange<unknown>>,
    rebuild: rebuildOf(at, (options) => consumer.rebuild(options), lifecycle),
    ...consumerHandle(core, consumer, lifecycle),
  })
}

/** Loads a row, correct even while the view switches to other rows. */
async function loadRow(core: ViewCore, view: ViewDefinition, id: string, fresh: boolean): Promise<StoredView | undefined> {
  for (;;) {
    const target = await currentRows(core, view)
    if (!target.isOwn) return outdatedRow(core, view, id, target)
    const [row] = await core.store.readViews([{ name: view.storedAs, generation: 'live', id }])
    if (!(await isCurrent(core, view, target, row?.generation))) continue
    if (isBehind(row)) {
      await recomputeStale(core, view, target, id)
      continue
    }
    return fresh && view.consistency === 'async' ? freshRow(core, view, id, target, row) : row
  }
}

/** Computes a row of one aggregate from its events, whatever version is stored. */
async function outdatedRow(core: ViewCore, view: ViewDefinition, id: string, target: Target): Promise<StoredView | undefined> {
  if (!view.followsOne) throw outdated(view, target.version)
  const { folded, last } = await fromHistory(core, view, id)
  return last && { name: view.storedAs, generation: 0, id, version: last.sequence, view: folded, sequence: last.sequence }
}

async function freshRow(
  core: ViewCore,
  view: ViewDefinition,
  id: string,
  { generation }: Target,
  row: StoredView | undefined,
): Promise<StoredView | undefined> {
  const from = { view: deepFreeze(row?.view ?? null), sequence: row?.sequence ?? 0 }
  const { folded, last } = await fromHistory(core, view, id, from)
  if (last === undefined) return row
  return { name: view.storedAs, generation, id, version: row?.version ?? 0, view: folded, sequence: last.sequence }
}

async function findRows(core: ViewCore, view: ViewDefinition, request: Omit<ViewFind, 'name' | 'generation'>) {
  for (;;) {
    const target = await currentRows(core, view)
    if (!target.isOwn) throw outdated(view, target.version)
    const mayBeBehind = view.consistency === 'inline' && view.followsOne
    const known = knownCatchUps(core, view, target)
    const page = await core.store.findViews({ name: view.storedAs, generation: 'live', ...request })
    const isComplete = !mayBeBehind || (await nothingWasBehind(core, view, target, known))
    if (isComplete && (await isCurrent(core, view, target, page.items[0]?.generation))) return page
  }
}

const rowOf = ({ id, view, version }: StoredView): ViewRow<unknown> => ({ id, view: deepFreeze(view), version })
