import type { StoredView, ViewFind } from '../store/store.ts'
import { meets } from './conditions.ts'
import type { LiveRows } from './live-rows.ts'

/**
 * A change that `changes()` reports, of one row or of all. Pass `cursor` as `after` to continue
 * from here.
 */
export type ViewChange<W> =
  | {
      readonly kind: 'changed'
      readonly id: string
      /** Frozen. */
      readonly view: W
      /**
       * How many times the row was saved or deleted; never lower than in an earlier report for this
       * id.
       */
      readonly version: number
      readonly cursor: string
    }
  /** The row does not exist, or does not meet `where`. It may never have met `where`. */
  | { readonly kind: 'gone'; readonly id: string; readonly cursor: string }
  /** Changes cannot be reported one by one: call `find` again. */
  | {
      readonly kind: 'reload'
      /**
       * Reason of the reload. With `rebuilt`, the view switched to other rows. With `too-many`,
       * over 10,000 rows are pending. With `too-old`, `after` is too far back, or not of this log.
       */
      readonly because: ReloadReason
      readonly cursor: string
    }

/** Reason why changes cannot be reported one by one. */
export type ReloadReason = 'rebuilt' | 'too-many' | 'too-old'

/** Limit of pending rows. */
export const mostPending = 10_000
/** Reported versions that are remembered, so that a row that is read twice is reported once. */
const mostReported = 1_000

type Report = { readonly kind: 'changed'; readonly view: unknown; readonly version: number } | { readonly kind: 'gone' }

interface Pending {
  readonly report: Report
  /** Everything up to here was reported before. */
  readonly since: string
}

type Result = IteratorResult<ViewChange<unknown>, undefined>

interface Waiting {
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/** Creates a cursor. It includes the generation, since other generations have other rows. */
export const toCursor = (generation: number, place: string): string => `${generation}.${place}`

/** Parses a cursor; `undefined` for any other text. */
export function parseCursor(cursor: string): { readonly generation: number; readonly place: string } | undefined {
  const [, generation, place] = /^(\d{1,15})\.(.+)$/.exec(cursor) ?? []
  return generation === undefined || place === undefined ? undefined : { generation: Number(generation), place }
}

const over: Result = { done: true, value: undefined }

/**
 * One iteration over the changes of a view. Of pending reports it keeps the latest content of each
 * row.
 */
export class Listener implements AsyncIterator<ViewChange<unknown>, undefined> {
  readonly #where: ViewFind['where']
  readonly #onEnd: () => void
  /** By id, in the order of `since`. */
  readonly #pending = new Map<string, Pending>()
  readonly #reported = new Map<string, { readonly version: number; readonly isGone: boolean }>()
  readonly #waiting: Waiting[] = []
  #reload: ReloadReason | undefined
  /** Changes up to here were received. */
  #place: string
  #generation: number
  #ended: { readonly error?: unknown } | undefined

  constructor(where: ViewFind['where'], start: { readonly place: string; readonly generation: number }, onEnd: () => void) {
    this.#where = where
    this.#place = start.place
    this.#generation = start.generation
    this.#onEnd = onEnd
  }

  /**
   * Cursor from which a later iteration continues without a gap; `undefined` while a `reload` is
   * pending.
   */
  get cursor(): string | undefined {
    if (this.#reload !== undefined) return undefined
    const [first] = this.#pending.values()
    return toCursor(this.#generation, first === undefined ? this.#place : first.since)
  }

  next(): Promise<Result> {
    const value = this.#waiting.length === 0 ? this.#take() : undefined
    if (value !== undefined) return Promise.resolve({ done: false, value })
    if (this.#ended === undefined) return new Promise((resolve, reject) => void this.#waiting.push({ resolve, reject }))
    const { error } = this.#ended
    this.#ended = {}
    return error === undefined ? Promise.resolve(over) : Promise.reject(error)
  }

  return(): Promise<Result> {
    this.end()
    return Promise.resolve(over)
  }

  /** Ends the iteration, with `error` if given; pending reports are dropped. */
  end(error?: unknown): void {
    if (this.#ended !== undefined) return
    this.#clear()
    const [first, ...rest] = this.#waiting.splice(0)
    this.#ended = first === undefined ? { error } : {}
    if (error === undefined) first?.resolve(over)
    else first?.reject(error)
    for (const { resolve } of rest) resolve(over)
    this.#onEnd()
  }

  /** Adds the rows touched on the way to a place, if any. */
  push(found: LiveRows | undefined, place = this.#place): void {
    const since = this.#place
    this.#place = place
    if (found === undefined || this.see(found.generation) || this.#reload !== undefined) return
    for (const [id, row] of found.rows) {
      const report = this.#reportOf(id, row)
      // A pending row keeps its turn.
      if (report !== undefined) this.#pending.set(id, { report, since: this.#pending.get(id)?.since ?? since })
    }
    if (this.#pending.size > mostPending) this.reload('too-many')
    else this.#serve()
  }

  /**
   * Compares the live generation with that of the reported rows. Returns true if it reports a
   * switch.
   */
  see(generation: number): boolean {
    if (generation === this.#generation) return false
    this.#generation = generation
    this.reload('rebuilt')
    return true
  }

  /** Replaces all pending reports. */
  reload(because: ReloadReason, place = this.#place): void {
    this.#clear()
    this.#reload = because
    this.#place = place
    this.#serve()
  }

  #clear(): void {
    this.#pending.clear()
    this.#reported.clear()
    this.#reload = undefined
  }

  #reportOf(id: string, row: StoredView | undefined): Report | undefined {
    const { version, view } = row ?? { version: 0, view: null }
    const before = this.#reported.get(id)
    if (before !== undefined && version <= before.version) return undefined
    const isGone = view === null || !meets(this.#where, view)
    this.#reported.delete(id)
    this.#reported.set(id, { version, isGone })
    if (this.#reported.size > mostReported) this.#reported.delete(this.#reported.keys().next().value as string)
    if (!isGone) return { kind: 'changed', view, version }
    return before?.isGone ? undefined : { kind: 'gone' }
  }

  #take(): ViewChange<unknown> | undefined {
    if (this.#reload !== undefined) {
      const because = this.#reload
      this.#reload = undefined
      return { kind: 'reload', because, cursor: this.cursor as string }
    }
    const [first] = this.#pending
    if (first === undefined) return undefined
    const [id, { report }] = first
    this.#pending.delete(id)
    return { id, ...report, cursor: this.cursor as string }
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const value = this.#take()
      if (value === undefined) return
      this.#waiting.shift()?.resolve({ done: false, value })
    }
  }
}
