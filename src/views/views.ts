import { ValidationError } from '../errors.ts'
import { checkCallOptions, checkId, checkPage } from '../execution/call.ts'
import { deepFreeze, isObject } from '../json.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { encodeIndexValue, type IndexValue } from '../store/index-value.ts'
import type { StoredView } from '../store/store.ts'
import { indexValueProblem } from './fold.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'
import type { ViewTypes } from './view-types.ts'

/** One view as it is stored. */
export interface ViewRow<W> {
  /** The aggregate's, unless the view makes its own. */
  readonly id: string
  /** Frozen. */
  readonly view: W
  /** How many times it was saved or deleted. */
  readonly version: number
}

/** The rows of one view. */
export interface Views<T extends ViewTypes> {
  /** The row of this id, `undefined` when there is none. @throws ValidationError for an unfit id, StoreError, ClosedError */
  load(id: string): Promise<ViewRow<T['view']> | undefined>
  /**
   * The views whose indexed fields equal all of `where`, in byte order of their ids; all views when it is empty. `limit`: 1–1,000, default 100.
   * `next` is there when more may follow: pass it as `after`.
   * @throws ValidationError for a field that is no index, a value that cannot be one, an unfit option, StoreError, ClosedError
   */
  find(
    where?: { readonly [K in T['indexes']]?: K extends keyof T['view'] ? T['view'][K] : never },
    options?: FindOptions,
  ): Promise<{ readonly items: readonly ViewRow<T['view']>[]; readonly next?: string }>
}

/** Which page of a `find`. */
export interface FindOptions {
  /** Rows at the most: 1–1,000. Default 100. */
  readonly limit?: number | undefined
  /** Only rows behind this id, in byte order: the `next` of the page before. */
  readonly after?: string | undefined
}

export function viewsOf({ store }: ViewCore, view: ViewDefinition, lifecycle: Lifecycle): Views<ViewTypes> {
  const at = `View '${view.name}'`
  return Object.freeze({
    load: async (id: string) =>
      lifecycle.run(`${at}: load`, async () => {
        checkId(`${at}: load`, id)
        const [row] = await store.readViews([{ name: view.name, generation: 'live', id }])
        return row === undefined || row.view === null ? undefined : rowOf(row)
      }),
    find: async (where: object = {}, options: FindOptions = {}) =>
      lifecycle.run(`${at}: find`, async () => {
        checkCallOptions(`${at}: find`, options, ['limit', 'after'])
        const { limit = 100, after } = options
        checkPage(`${at}: find`, limit, after)
        const conditions = conditionsOf(at, view, where)
        const from = after === undefined ? {} : { after: { id: after } }
        const page = await store.findViews({ name: view.name, generation: 'live', where: conditions, limit, ...from })
        return { items: page.items.map(rowOf), ...(page.next === undefined ? {} : { next: page.next.id }) }
      }),
  })
}

const rowOf = ({ id, view, version }: StoredView): ViewRow<unknown> => ({ id, view: deepFreeze(view), version })

function conditionsOf(at: string, view: ViewDefinition, where: unknown) {
  if (!isObject(where)) throw new ValidationError(`${at}: find takes an object of values by index.`)
  return Object.entries(where).map(([index, value]) => {
    if (!view.indexes.includes(index))
      throw new ValidationError(
        `${at} has no index '${index}'. Its indexes: ${view.indexes.join(', ') || 'none'}. Declare it in defineView({ indexes }).`,
      )
    const problem = indexValueProblem(value)
    if (problem !== undefined)
      throw new ValidationError(
        `${at}: find: the value of '${index}' ${problem}, not ${value === undefined ? 'undefined' : typeof value}.`,
      )
    return { index, is: '=' as const, value: encodeIndexValue(value as IndexValue) }
  })
}
