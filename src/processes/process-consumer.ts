import type { AggregateChange, CatchUpOutcome } from '../consumers/change.ts'
import type { Consumer } from '../consumers/consumer.ts'
import { consumerOf } from '../consumers/consumer-of.ts'
import type { ConsumerCore, RunRequest, RunResult } from '../consumers/core.ts'
import type { Watched } from '../consumers/look.ts'
import { isAnyDue } from '../due/due-rows.ts'
import type { Position } from '../event-envelope.ts'
import type { ProcessDefinition } from './definition.ts'
import { FoldInstances } from './fold-instances.ts'
import { countStuck } from './instances.ts'
import { Work } from './work.ts'
import type { Execute, WorkCore } from './work-core.ts'

/** Runs a process: decides on events, then does what its instances wait for. */
export class ProcessConsumer implements Consumer {
  readonly title: string
  readonly aggregateTypes: readonly string[]
  readonly work: WorkCore
  readonly #core: ConsumerCore
  readonly #consumer: Consumer
  readonly #work: Work

  constructor(core: ConsumerCore, process: ProcessDefinition, execute: Execute, isForeign: (error: unknown) => boolean) {
    const fold = new FoldInstances(core, process)
    this.#core = core
    this.work = { core, process, rows: fold.rows, instances: fold.instances, execute, isForeign }
    this.#work = new Work(this.work)
    fold.retry = (row) => this.#work.retry(row)
    this.#consumer = consumerOf(
      core,
      Object.assign(fold, { besides: this.#work, stuck: (most: number) => countStuck(this.work, most) }),
    )
    this.title = fold.title
    this.aggregateTypes = fold.aggregateTypes
  }

  readonly isDue = (): Promise<boolean> => isAnyDue(this.#core, this.work.rows.name, this.#core.runtime.now().toISOString())

  run(request?: RunRequest): Promise<RunResult> {
    return this.#consumer.run(request)
  }

  /** Also does the work of the changed instances. Timers and retries are left to `run`. */
  async catchUp(
    changes: readonly AggregateChange[],
    signal: AbortSignal = this.#core.neverAborts,
  ): Promise<readonly CatchUpOutcome[]> {
    const outcomes = await this.#consumer.catchUp(changes, signal)
    if (this.#core.store.capabilities.globalOrder) return outcomes
    await this.#work.workOnChanged({ signal, isOver: () => signal.aborted })
    return outcomes
  }

  lookAgain(): void {
    this.#consumer.lookAgain()
  }

  hold(): Promise<void> {
    return this.#consumer.hold()
  }

  release(): Promise<void> {
    return this.#consumer.release()
  }

  isHeld(): Promise<boolean> {
    return this.#consumer.isHeld()
  }

  position(): Promise<Position> {
    return this.#consumer.position()
  }

  watched(): Promise<Watched> {
    return this.#consumer.watched()
  }

  resume(): Promise<void> {
    return this.#consumer.resume()
  }

  async nextDue(): Promise<undefined> {
    return undefined
  }
}
