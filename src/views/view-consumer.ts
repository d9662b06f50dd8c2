import type { AggregateChange, CatchUpOutcome } from '../consumers/change.ts'
import type { Consumer } from '../consumers/consumer.ts'
import type { RunRequest, RunResult } from '../consumers/core.ts'
import { isLongAgo, noteRun } from '../consumers/layout.ts'
import type { Watched } from '../consumers/look.ts'
import { rowPrefixes, viewConsumer } from '../consumers/names.ts'
import { LeftToNewer } from '../consumers/outdated.ts'
import { beginning, endOf } from '../consumers/positions.ts'
import { clearStopped } from '../consumers/stopped.ts'
import { isCqrsError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { liveGeneration } from '../store/generations.ts'
import type { ViewGeneration } from '../store/store.ts'
import { outdated, rebuildRow } from './behind.ts'
import { currentRows, currentRowsNow } from './current.ts'
import { GenerationGone } from './fold-rows.ts'
import { isReady } from './generation-ready.ts'
import { begunBy, liveVersion, type Target } from './generations.ts'
import { rebuild, rebuildStep } from './rebuild.ts'
import type { RebuildOptions } from './rebuild-handle.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'

interface Live extends Target {
  /** Commands write the rows. */
  readonly isWritten: boolean
  /** All generations, if they were read. */
  readonly all: readonly ViewGeneration[]
}

/** Keeps the rows of a view: of an async view, and of any view during a rebuild. */
export class ViewConsumer implements Consumer {
  readonly title: string
  readonly aggregateTypes: readonly string[]
  readonly #core: ViewCore
  readonly #view: ViewDefinition
  #notedAt: string | undefined

  constructor(core: ViewCore, view: ViewDefinition) {
    this.#core = core
    this.#view = view
    this.title = `The view '${view.name}'`
    this.aggregateTypes = view.aggregateTypes
  }

  async run(request: RunRequest = {}): Promise<RunResult> {
    try {
      await this.#note()
      return await this.#run(request)
    } catch (error) {
      if (error instanceof LeftToNewer) return { state: 'outdated', events: 0, error }
      // An event stored just before a switch cannot be folded, so the live generation cannot become
      // ready.
      if (isCqrsError(error, 'STOPPED')) return { state: 'stopped', events: 0, error }
      throw error
    }
  }

  async #run(request: RunRequest): Promise<RunResult> {
    for (;;) {
      const { generation, isOwn } = await currentRows(this.#core, this.#view)
      if (!isOwn) {
        const result = await rebuildStep(this.#core, this.#view, request)
        if (result !== undefined) return result
        continue
      }
      if (this.#view.consistency === 'inline') return { state: 'caught-up', events: 0 }
      try {
        const result = await this.#consumer(generation).run(request)
        if (result.state !== 'outdated') return result
        // A newer program may have switched the view; then the checkpoint of this generation never
        // moves again.
        if ((await currentRowsNow(this.#core, this.#view)).generation === generation) return result
      } catch (error) {
        if (!(error instanceof GenerationGone)) throw error
        await currentRowsNow(this.#core, this.#view)
      }
    }
  }

  async #note(): Promise<void> {
    if (!isLongAgo(this.#core, this.#notedAt)) return
    this.#notedAt = this.#core.runtime.now().toISOString()
    const isFirst = await noteRun(this.#core, `${rowPrefixes.view}${this.#view.storedAs}`, 'view')
    // The rows may have been removed.
    if (isFirst) await currentRowsNow(this.#core, this.#view)
  }

  async catchUp(
    changes: readonly AggregateChange[],
    signal: AbortSignal | undefined,
    isWaitedFor = false,
  ): Promise<readonly CatchUpOutcome[]> {
    for (;;) {
      const target = await currentRows(this.#core, this.#view)
      const { generation, isOwn } = target
      const consumer = this.#consumer(generation)
      const isInline = this.#view.consistency === 'inline'
      if (!isOwn && !isInline && isWaitedFor) throw outdated(this.#view, target.version)
      if (!isOwn || isInline) return changes.map(() => undefined)
      const outcomes = await consumer.catchUp(changes, signal)
      if (!outcomes.some((outcome) => outcome?.error instanceof GenerationGone)) return outcomes
      await currentRowsNow(this.#core, this.#view)
    }
  }

  lookAgain(): void {
    for (const consumer of this.#begun()) consumer.lookAgain()
  }

  /** Releases the leases: after a failure, other processes may try at once. */
  hold(): Promise<void> {
    return this.release()
  }

  async release(): Promise<void> {
    await Promise.all(this.#begun().map((consumer) => consumer.release()))
  }

  async isHeld(): Promise<boolean> {
    const { generation, isOwn } = await this.#live()
    return isOwn && this.#consumer(generation).isHeld()
  }

  async position(): Promise<Position> {
    const { generation, isOwn, isWritten } = await this.#live()
    if (!isOwn) return beginning
    // Commands write the rows, so the view never lags.
    return isWritten ? endOf(this.#core) : this.#consumer(generation).position()
  }

  /** If the rows in use have another version, this is the consumer that fills their replacement. */
  async watched(): Promise<Watched> {
    const { generation, isOwn, isWritten, version, all } = await this.#live()
    if (isOwn) return { ...(await this.#consumer(generation).watched()), rows: isWritten ? 'written' : 'own' }
    const begun = begunBy(this.#view, all)
    const filled = await this.#consumer(begun ?? generation).watched()
    const isOutdated = await this.#core.generations.isOutdated(this.#view, all)
    return {
      ...filled,
      rows: 'other',
      isRebuilding: begun !== undefined,
      ...(isOutdated && { outdated: outdated(this.#view, version) }),
    }
  }

  /** Does not wait for the generation to become ready: it may be the one that has stopped. */
  async resume(): Promise<void> {
    const all = await this.#core.store.viewGenerations(this.#view.storedAs)
    for (const generation of new Set([liveGeneration(all), ...all.map((one) => one.generation)]))
      await clearStopped(this.#core, viewConsumer(this.#view.storedAs, generation))
    this.lookAgain()
  }

  async nextDue(): Promise<undefined> {
    return undefined
  }

  async rebuild(options: RebuildOptions): Promise<void> {
    if (options.id !== undefined) return rebuildRow(this.#core, this.#view, options.id)
    return rebuild(this.#core, this.#view, options)
  }

  /** Returns the live generation, without waiting until it is ready. */
  async #live(): Promise<Live> {
    const isInline = this.#view.consistency === 'inline'
    const known = this.#core.generations.known(this.#view)
    if (known?.isOwn) return { ...known, isWritten: isInline, all: [] }
    const all = await this.#core.store.viewGenerations(this.#view.storedAs)
    const generation = liveGeneration(all)
    const version = liveVersion(all)
    const isOwn = version === this.#view.viewVersion
    const isWritten = isOwn && isInline && (await isReady(this.#core, this.#view.storedAs, generation))
    return { generation, isOwn, version, isWritten, all }
  }

  #consumer(generation: number): Consumer {
    return this.#core.consumerOf(this.#view, generation)
  }

  #begun(): readonly Consumer[] {
    return this.#core.begunConsumers(this.#view)
  }
}
