import type { AggregateChange, CatchUpOutcome } from '../consumers/change.ts'
import type { Consumer } from '../consumers/consumer.ts'
import type { ConsumerCore, RunRequest, RunResult } from '../consumers/core.ts'
import { askForLease, isLeasedElsewhere, LeaseLost, leaseOf, underLeases } from '../consumers/lease.ts'
import type { Watched } from '../consumers/look.ts'
import { endOf } from '../consumers/positions.ts'
import { stoppedError } from '../consumers/stopped.ts'
import { isAnyDue } from '../due/due-rows.ts'
import type { Position } from '../event-envelope.ts'
import { encodeIndexValue } from '../store/index-value.ts'
import { Countdown } from '../util/countdown.ts'
import { deadlineName, stuckIndex } from './deadline-row.ts'
import type { DeadlineCore } from './send-deadline.ts'
import { firstDue, sendDue } from './work.ts'

/** Name of its lease. */
export const deadlinesName = '~deadlines'

/** Sends the commands of due deadlines. It follows no events: commands keep the deadlines. */
export class DeadlineConsumer implements Consumer {
  readonly title = 'The deadlines'
  readonly aggregateTypes: readonly string[]
  readonly #core: ConsumerCore
  readonly #work: DeadlineCore

  constructor(work: DeadlineCore, aggregateTypes: readonly string[]) {
    this.#core = work.core
    this.#work = work
    this.aggregateTypes = aggregateTypes
  }

  readonly isDue = (): Promise<boolean> => isAnyDue(this.#core, deadlineName, this.#core.runtime.now().toISOString())

  /** Rows decide who sends a command. The lease only keeps processes from doing the same work. */
  async run({ budgetMs, signal }: RunRequest = {}): Promise<RunResult> {
    const core = this.#core
    const first = await firstDue(this.#work)
    if (first === undefined || first > core.runtime.now().toISOString())
      return resultOf({ steps: 0, isWhole: true, dueAt: first })
    if (!core.store.capabilities.globalOrder) {
      const countdown = new Countdown(core.runtime, budgetMs)
      return resultOf(await sendDue(this.#work, { signal: signal ?? core.neverAborts, isOver: () => countdown.isOver }))
    }
    const answer = await askForLease(core, deadlinesName)
    if (!answer.acquired) return { state: 'elsewhere', events: 0, remainingMs: answer.remainingMs }
    const lease = await leaseOf(core, deadlinesName, answer)
    try {
      return resultOf(await underLeases(core, [lease], { budgetMs, signal }, (slice) => sendDue(this.#work, slice)))
    } catch (error) {
      if (error instanceof LeaseLost) return { state: 'elsewhere', events: 0 }
      throw error
    } finally {
      await lease.release().catch(() => {})
    }
  }

  async catchUp(changes: readonly AggregateChange[]): Promise<readonly CatchUpOutcome[]> {
    return changes.map(() => undefined)
  }

  lookAgain(): void {}

  async hold(): Promise<void> {}

  async release(): Promise<void> {}

  isHeld(): Promise<boolean> {
    return isLeasedElsewhere(this.#core, deadlinesName)
  }

  position(): Promise<Position> {
    return endOf(this.#core)
  }

  async watched(): Promise<Watched> {
    const { title, aggregateTypes } = this
    const processor: Watched['processor'] = {
      name: deadlinesName,
      title,
      label: 'deadlines',
      kind: 'process',
      aggregateTypes,
      from: 'now',
      mode: 'fold',
      partitions: 1,
      concurrency: 1,
      batchSize: 1,
      onFailure: 'stop',
      stuck: (most) => this.#countStuck(most),
      take: async () => ({ done: 0 }),
    }
    return { processor, rows: 'written', toError: (stopped) => stoppedError(title, stopped) }
  }

  async resume(): Promise<void> {}

  async nextDue(): Promise<undefined> {
    return undefined
  }

  async #countStuck(limit: number): Promise<number> {
    const where = [{ index: stuckIndex, is: '=' as const, value: encodeIndexValue('') }]
    return (await this.#core.store.findViews({ name: deadlineName, generation: 1, where, limit })).items.length
  }
}

const resultOf = ({ steps, isWhole, dueAt }: Awaited<ReturnType<typeof sendDue>>): RunResult => ({
  state: isWhole ? 'caught-up' : 'more',
  events: 0,
  steps,
  ...(dueAt === undefined ? {} : { dueAt: new Date(dueAt) }),
})
