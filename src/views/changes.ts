import { DefinitionError, ValidationError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { ViewFind } from '../store/store.ts'
import { whenAborted } from '../util/abort.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { checkCallOptions } from '../util/options.ts'
import { outdated } from './behind.ts'
import { ChangesReader } from './changes-reader.ts'
import { conditionsOf } from './conditions.ts'
import { currentRowsNow } from './current.ts'
import { Listener, parseCursor, type ReloadReason, toCursor, type ViewChange } from './listener.ts'
import { type News, newsOfAggregates, newsOfLog } from './news.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'

/** Start of an iteration. */
interface Start {
  readonly place: string
  readonly generation: number
  /** Why it cannot start at the requested place. */
  readonly reload?: ReloadReason
}

/** Result of `changes()`, with additions for the HTTP API. */
export interface OpenedChanges extends AsyncIterable<ViewChange<unknown>, undefined> {
  /** `after` has the form of a cursor. */
  readonly isCursor: boolean
  /** Resolves when later changes cannot be missed, with the cursor of this moment if known. */
  begin(): Promise<string | undefined>
  [Symbol.asyncIterator](): ChangesIterator
}

export interface ChangesIterator extends AsyncIterator<ViewChange<unknown>, undefined> {
  return(): Promise<IteratorResult<ViewChange<unknown>, undefined>>
  /** The place where a later iteration continues without a gap, if known. */
  cursor(): string | undefined
}

/** Live changes of one view of an app. */
export class Changes {
  readonly #core: ViewCore
  readonly #view: ViewDefinition
  readonly #lifecycle: Lifecycle
  readonly #news: News
  readonly #reader: ChangesReader
  readonly #starts = new Set<Promise<Start>>()
  #shared: Promise<Start> | undefined

  /** `position`: progress of the view in the log. */
  constructor(core: ViewCore, view: ViewDefinition, position: () => Promise<Position>, lifecycle: Lifecycle) {
    const newsOf = () => (core.store.capabilities.globalOrder ? newsOfLog(core, view, position) : newsOfAggregates(core, view))
    this.#core = core
    this.#view = view
    this.#lifecycle = lifecycle
    this.#news = newsOf()
    this.#reader = new ChangesReader(core, view, lifecycle, newsOf)
  }

  /**
   * Waits until all requested iterations have a start, so that rows read afterwards are not older.
   */
  async begun(): Promise<void> {
    if (this.#starts.size > 0) await Promise.allSettled(this.#starts)
  }

  /** @throws ValidationError, DefinitionError, ClosedError */
  open(options: { where?: object; after?: string; signal?: AbortSignal } = {}): OpenedChanges {
    const at = `View '${this.#view.name}': changes`
    const { globalOrder } = this.#core.store.capabilities
    this.#lifecycle.check(at)
    checkCallOptions(at, options, ['where', 'after', 'signal'])
    const { where = {}, after, signal } = options
    const conditions = conditionsOf(this.#view, 'changes', where)
    if (after !== undefined && typeof after !== 'string')
      throw new ValidationError(`${at}: after must be the cursor of a change.`)
    if (!globalOrder && this.#core.store.readChanges === undefined)
      throw new DefinitionError(
        `${at} needs a store that reports changes, and this one does not. Pass streams: true and a streamsClient to dynamoDbStore.`,
      )
    const start = this.#begin(at, after)
    return {
      isCursor: after === undefined || this.#placeIn(after) !== undefined,
      begin: async () => {
        const { generation, place, reload } = await start
        return reload === undefined ? toCursor(generation, place) : undefined
      },
      [Symbol.asyncIterator]: () => this.#iterate(start, conditions, signal),
    }
  }

  /** Concurrent iterations share the reads: an earlier start is right for all of them. */
  #begin(at: string, after: string | undefined): Promise<Start> {
    if (after === undefined && this.#shared !== undefined) return this.#shared
    const start = this.#lifecycle.run(at, () => this.#findStart(after))
    const end = () => {
      this.#starts.delete(start)
      if (this.#shared === start) this.#shared = undefined
    }
    this.#starts.add(start)
    if (after === undefined) this.#shared = start
    start.then(end, end)
    return start
  }

  /** Read the place first, and at once: later commits of this process come after it. */
  async #findStart(after: string | undefined): Promise<Start> {
    const from = after === undefined ? undefined : this.#placeIn(after)
    const isReachable = from !== undefined && (await this.#news.reachesBack(from.place))
    const place = isReachable ? from.place : await this.#news.end()
    const { generation, isOwn, version } = await currentRowsNow(this.#core, this.#view)
    if (!isOwn) throw outdated(this.#view, version)
    if (after === undefined) return { place, generation }
    if (!isReachable) return { place, generation, reload: 'too-old' }
    return { place, generation, ...(from.generation === generation ? {} : { reload: 'rebuilt' }) }
  }

  #placeIn(cursor: string) {
    const parsed = parseCursor(cursor)
    return parsed !== undefined && this.#news.isPlace(parsed.place) ? parsed : undefined
  }

  #iterate(start: Promise<Start>, where: ViewFind['where'], signal: AbortSignal | undefined): ChangesIterator {
    let listening: Promise<Listener> | undefined
    let listener: Listener | undefined
    let isOver = false
    const listen = async () => {
      listener = this.#listen(await start, where, signal)
      return listener
    }
    const over = { done: true, value: undefined } as const
    return {
      cursor: () => listener?.cursor,
      next: async () => {
        if (isOver) return over
        try {
          listening ??= listen()
          const found = await listening
          if (isOver) found.end()
          return await found.next()
        } catch (error) {
          const isClosed = this.#lifecycle.isClosing || signal?.aborted === true
          if (isClosed) return over
          throw error
        }
      },
      return: async () => {
        isOver = true
        listener?.end()
        return over
      },
    }
  }

  /** Creates a listener that ends with the signal and with the app. */
  #listen({ place, generation, reload }: Start, where: ViewFind['where'], signal: AbortSignal | undefined): Listener {
    const forget: (() => void)[] = []
    const listener = new Listener(where, { place, generation }, () => {
      this.#reader.remove(listener)
      for (const one of forget) one()
    })
    if (this.#lifecycle.isClosing || signal?.aborted) {
      listener.end()
      return listener
    }
    const end = () => listener.end()
    forget.push(this.#lifecycle.onClosing(end))
    if (signal !== undefined) forget.push(whenAborted(signal, end))
    if (reload !== undefined) listener.reload(reload)
    this.#reader.add(listener, place)
    return listener
  }
}
