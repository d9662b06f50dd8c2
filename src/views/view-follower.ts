import type { Position } from '../event-envelope.ts'
import { ByAggregate } from '../subscriptions/by-aggregate.ts'
import type { CatchUpOutcome, Change } from '../subscriptions/change.ts'
import type { RunRequest, RunResult } from '../subscriptions/consumption.ts'
import type { ViewDefinition } from '../subscriptions/definitions.ts'
import type { Follower } from '../subscriptions/follower.ts'
import { beginning, endOf } from '../subscriptions/lane.ts'
import { type Runs, runsOf } from '../subscriptions/runs.ts'
import { clearStopped } from '../subscriptions/troubles.ts'
import { outdated, rebuildRow } from './behind.ts'
import { Following, GenerationGone } from './following.ts'
import type { Target } from './generations.ts'
import { rebuild, rebuildStep, settle } from './rebuild.ts'
import type { RebuildOptions } from './rebuild-handle.ts'
import type { ViewCore } from './view-core.ts'

/** Keeps the rows of a view: of one that is written behind the events, and of any while it is rebuilt. */
export class ViewFollower implements Follower {
  readonly title: string
  readonly #core: ViewCore
  readonly #view: ViewDefinition
  readonly #consumers = new Map<number, Runs>()

  constructor(core: ViewCore, view: ViewDefinition) {
    this.#core = core
    this.#view = view
    this.title = `The view '${view.name}'`
  }

  async run(request: RunRequest = {}): Promise<RunResult> {
    for (;;) {
      const target = await this.#core.generations.target(this.#view)
      const { generation, isOwn } = target
      if (!isOwn) return this.#catchUpWithVersion(request, target)
      if (this.#view.consistency === 'inline') return { state: 'caught-up', events: 0 }
      try {
        return await this.#consumer(generation).run(request)
      } catch (error) {
        if (!(error instanceof GenerationGone)) throw error
        await this.#core.generations.refresh(this.#view)
      }
    }
  }

  async #catchUpWithVersion(request: RunRequest, target: Target): Promise<RunResult> {
    const error = outdated(this.#view, target)
    if (await this.#core.generations.isOutdated(this.#view)) return { state: 'stopped', events: 0, error }
    // A request that waits must not switch the view under programs that run.
    if (request.rebuild === false) return { state: 'waiting', events: 0, error }
    return rebuildStep(this.#core, this.#view, (generation) => this.#consumer(generation), request)
  }

  async catchUp(
    changes: readonly Change[],
    signal: AbortSignal | undefined,
    isWaitedFor = false,
  ): Promise<readonly CatchUpOutcome[]> {
    for (;;) {
      const target = await this.#core.generations.target(this.#view)
      const { generation, isOwn } = target
      const consumer = this.#consumer(generation)
      const isInline = this.#view.consistency === 'inline'
      if (!isOwn && !isInline && isWaitedFor) throw outdated(this.#view, target)
      if (!isOwn || isInline || !(consumer instanceof ByAggregate)) return changes.map(() => undefined)
      const outcomes = await consumer.catchUp(changes, signal)
      if (!outcomes.some((outcome) => outcome?.error instanceof GenerationGone)) return outcomes
      await this.#core.generations.refresh(this.#view)
    }
  }

  async release(): Promise<void> {
    await Promise.all([...this.#consumers.values()].map((consumer) => consumer.release()))
  }

  async position(): Promise<Position> {
    const { generation, isOwn } = await this.#core.generations.target(this.#view)
    // Its commands write its rows: nothing is ever behind.
    if (isOwn && this.#view.consistency === 'inline') return endOf(this.#core)
    return isOwn ? this.#consumer(generation).position() : beginning
  }

  async trouble(): Promise<unknown> {
    return (await this.#live()).trouble()
  }

  async resume(): Promise<void> {
    for (const { generation } of [
      await this.#core.generations.refresh(this.#view),
      ...(await this.#core.store.viewGenerations(this.#view.name)),
    ])
      await clearStopped(this.#core, this.#consumer(generation).consumption.name)
    for (const consumer of this.#consumers.values()) consumer.lookAgain()
  }

  async parked(): Promise<number> {
    return 0
  }

  async rebuild(options: RebuildOptions): Promise<void> {
    if (options.id !== undefined) return rebuildRow(this.#core, this.#view, options.id)
    return rebuild(this.#core, this.#view, (generation) => this.#consumer(generation), options)
  }

  settle(generation: number): Promise<void> {
    return settle(this.#core, this.#view, this.#consumer(generation), generation)
  }

  async #live(): Promise<Runs> {
    return this.#consumer((await this.#core.generations.target(this.#view)).generation)
  }

  #consumer(generation: number): Runs {
    const known = this.#consumers.get(generation)
    if (known !== undefined) return known
    const consumer = runsOf(this.#core, new Following(this.#core, this.#view, generation))
    this.#consumers.set(generation, consumer)
    return consumer
  }
}
