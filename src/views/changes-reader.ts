import { backOffMs } from '../consumers/back-off.ts'
import { isCqrsError } from '../errors.ts'
import type { Commit } from '../store/commit.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { Alarm } from './alarm.ts'
import { outdated } from './behind.ts'
import { currentRowsNow } from './current.ts'
import { type Listener, mostPending } from './listener.ts'
import { readLiveRows } from './live-rows.ts'
import { type News, type NewsPage, type Touched, touchedBy } from './news.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'

/** With push, the log is polled at a tenth of the rate: a notification may be lost. */
const pollsWithPush = 10
/** Interval of checks for a switch to other rows by another process. */
const lookMs = 10_000

/** Listeners at the same place. */
interface Group {
  readonly listeners: Set<Listener>
  news: News
  place: string
  /** A page that was read, but that the view does not show yet. */
  page: NewsPage | undefined
}

/**
 * Reads the changes of a view and reports them to all listeners, while there are any. Keeps no
 * checkpoint and needs no lease. Pages are reported one by one, so that row versions never go back.
 */
export class ChangesReader {
  readonly #core: ViewCore
  readonly #view: ViewDefinition
  readonly #lifecycle: Lifecycle
  readonly #newsOf: () => News
  readonly #alarm: Alarm
  /** The first group is at the end of the log; others catch up with it and join it. */
  #groups: Group[] = []
  #own: Commit[] = []
  #ending: AbortController | undefined
  #lookedAt = 0

  constructor(core: ViewCore, view: ViewDefinition, lifecycle: Lifecycle, newsOf: () => News) {
    this.#core = core
    this.#view = view
    this.#lifecycle = lifecycle
    this.#newsOf = newsOf
    this.#alarm = new Alarm(core.runtime)
  }

  add(listener: Listener, place: string): void {
    const group = this.#groups.find((one) => one.place === place)
    if (group !== undefined) group.listeners.add(listener)
    else this.#groups.push({ listeners: new Set([listener]), news: this.#newsOf(), place, page: undefined })
    if (this.#ending === undefined) this.#start()
    this.#alarm.wake()
  }

  remove(listener: Listener): void {
    for (const { listeners } of this.#groups) listeners.delete(listener)
    this.#groups = this.#groups.filter(({ listeners }) => listeners.size > 0)
    if (this.#groups.length > 0) return
    this.#ending?.abort()
    this.#ending = undefined
  }

  #start(): void {
    const { store, onStored, onProjected, runtime } = this.#core
    const ending = new AbortController()
    const wake = () => this.#alarm.wake()
    // The first listener has just checked the generation.
    this.#lookedAt = runtime.now().getTime()
    const stored = store.capabilities.globalOrder ? wake : (commit: Commit) => this.#keep(commit)
    onStored.add(stored)
    onProjected.add(wake)
    const unwatch = store.capabilities.push ? store.watch?.(wake) : undefined
    ending.signal.addEventListener('abort', () => {
      onStored.delete(stored)
      onProjected.delete(wake)
      unwatch?.()
      this.#own = []
      wake()
    })
    this.#ending = ending
    void this.#run(ending.signal)
  }

  /** Keeps own commits: without a global order, the store may report them late. */
  #keep(commit: Commit): void {
    if (this.#view.consistency === 'inline') this.#own.push(commit)
    this.#alarm.wake()
  }

  get #listeners(): readonly Listener[] {
    return this.#groups.flatMap(({ listeners }) => [...listeners])
  }

  async #run(signal: AbortSignal): Promise<void> {
    const title = `The changes of the view '${this.#view.name}'`
    for (let failures = 0; !signal.aborted; ) {
      const { wakes } = this.#alarm
      try {
        const isMore = await this.#lifecycle.run(title, () => this.#readOn(signal))
        failures = 0
        // A store that never waits would otherwise block all other work of the process.
        if (isMore) await this.#core.runtime.sleep(0)
        else await this.#alarm.sleep(this.#pauseMs(), wakes)
      } catch (error) {
        if (signal.aborted) return
        const passes = isCqrsError(error, 'STORE_UNAVAILABLE') || isCqrsError(error, 'STORE_BUSY')
        if (!passes) {
          for (const listener of this.#listeners) listener.end(error)
          return
        }
        await this.#alarm.sleep(backOffMs(++failures))
      }
    }
  }

  /** Reads one page per group. Returns true if there is more to read at once. */
  async #readOn(signal: AbortSignal): Promise<boolean> {
    await this.#look()
    await this.#tellOwn()
    let isMore = false
    for (const group of [...this.#groups]) if (!signal.aborted && (await this.#advance(group))) isMore = true
    return isMore
  }

  /** Reports one page, unless the view does not show it yet. Returns true if there is more. */
  async #advance(group: Group): Promise<boolean> {
    try {
      group.page ??= await group.news.nextPage(group.place)
    } catch (error) {
      if (!isCqrsError(error, 'STORE_BEHIND')) throw error
      return this.#beginAnew(group)
    }
    const { page } = group
    if (!(await page.isShown())) return false
    await this.#tell(group.listeners, page, page.place)
    group.page = undefined
    group.place = page.place
    const [front] = this.#groups
    if (page.more || front === undefined || front === group) return page.more
    // It has read everything stored so far, so it misses nothing that the front reads next.
    for (const listener of group.listeners) front.listeners.add(listener)
    this.#groups = this.#groups.filter((one) => one !== group)
    return false
  }

  /** Starts over after the store lost what followed the place. */
  async #beginAnew(group: Group): Promise<boolean> {
    group.news = this.#newsOf()
    group.place = await group.news.end()
    for (const listener of group.listeners) listener.reload('too-old', group.place)
    return true
  }

  async #tellOwn(): Promise<void> {
    const own = this.#own
    this.#own = []
    const events = own
      .flatMap(({ appends }) => appends.flatMap((append) => append.events))
      .filter(({ aggregateType }) => this.#view.aggregateTypes.includes(aggregateType))
    if (events.length > 0) await this.#tell(this.#listeners, await touchedBy(this.#core, this.#view, events))
  }

  async #tell(listeners: Iterable<Listener>, { ids, isUnclear }: Touched, place?: string): Promise<void> {
    const isTooMuch = isUnclear || ids.size > mostPending
    const rows = isTooMuch || ids.size === 0 ? undefined : await readLiveRows(this.#core, this.#view, [...ids])
    for (const listener of [...listeners])
      if (isTooMuch) listener.reload('too-many', place)
      else listener.push(rows, place)
  }

  /** Checks for a switch to other rows: in this process always, in the store from time to time. */
  async #look(): Promise<void> {
    const { generations, runtime, pollMs } = this.#core
    const now = runtime.now().getTime()
    // Replaced rows never show the awaited events.
    const everyMs = this.#isAwaited ? Math.min(lookMs, pollMs) : lookMs
    const isDue = now - this.#lookedAt >= everyMs || now < this.#lookedAt
    if (isDue) this.#lookedAt = now
    const target = isDue ? await currentRowsNow(this.#core, this.#view) : generations.known(this.#view)
    if (target?.isOwn === false) throw outdated(this.#view, target.version)
    for (const listener of this.#listeners) if (target !== undefined) listener.see(target.generation)
  }

  /** A page was read that the view does not show yet. */
  get #isAwaited(): boolean {
    return this.#groups.some(({ page }) => page !== undefined)
  }

  #pauseMs(): number {
    const { store, pollMs, runtime } = this.#core
    const polls = store.capabilities.push && !this.#isAwaited ? pollsWithPush : 1
    return pollMs * polls * (0.75 + runtime.random() / 2)
  }
}
