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

/** Where an iteration begins. */
interface Start {
  readonly place: string
  readonly generation: number
  /** Why it cannot begin where it was asked to. */
  readonly reload?: ReloadReason
}

/** What `changes()` returns, with what the HTTP API asks of it. */
export interface OpenedChanges extends AsyncIterable<ViewChange<unknown>, undefined> {
  /** `after` reads like a cursor. */
  readonly isCursor: boolean
  /** Resolves when nothing is missed from then on, with the cursor of this moment if it is known. */
  begin(): Promise<string | undefined>
  [Symbol.asyncIterator](): ChangesIterator
}

export interface ChangesIterator extends AsyncIterator<ViewChange<unknown>, undefined> {
  return(): Promise<IteratorResult<ViewChange<unknown>, undefined>>
  /** Where a later iteration continues without missing anything, if that is known. */
  cursor(): string | undefined
}

/** The live changes of one view of an app. */
export class Changes {
  readonly #core: ViewCore
  readonly #view: ViewDefinition
  readonly #lifecycle: Lifecycle
  readonly #news: News
  readonly #reader: ChangesReader
  readonly #starts = new Set<Promise<Start>>()
  #shared: Promise<Start> | undefined

  /** `position`: how far the view has come in the log. */
  constructor(core: ViewCore, view: ViewDefinition, position: () => Promise<Position>, lifecycle: Lifecycle) {
    const newsOf = () => (core.store.capabilities.globalOrder ? newsOfLog(core, view, position) : newsOfAggregates(core, view))
    this.#core = core
    this.#view = view
    this.#lifecycle = lifecycle
    this.#news = newsOf()
    this.#reader = new ChangesReader(core, view, lifecycle, newsOf)
  }

  /** Resolves when all iterations that were asked for have their beginning, so that rows which are read then are not older. */
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
        `${at} needs a store that reports changes, and this one does not. Give dynamoDbStore streams: true and a streamsClient.`,
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

  /** Iterations that are opened at the same time share the reads; an earlier beginning is right for all of them. */
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

  /** The place is asked for first, and at once: what this process stores from now on comes after it. */
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

  /** Ends with the signal and with the app. */
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
