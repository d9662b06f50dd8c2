import type { CatchUpOutcome, Change } from '../consumers/change.ts'
import type { ConsumerCore, RunRequest, RunResult } from '../consumers/consumption.ts'
import type { Follower } from '../consumers/follower.ts'
import { type Runs, runsOf } from '../consumers/runs.ts'
import { ByAggregate } from '../consumers/sources/by-aggregate.ts'
import { clearStopped, isSomethingAgain, readAllParked, retryParked } from '../consumers/troubles.ts'
import type { Position } from '../event-envelope.ts'
import type { SubscriptionDefinition } from './definition.ts'
import { Delivery } from './delivery.ts'

/** Keeps a subscription running. */
export class SubscriptionFollower implements Follower {
  readonly title: string
  readonly consumer: Runs
  readonly isAsked: (() => Promise<boolean>) | undefined
  readonly #core: ConsumerCore
  readonly #name: string

  constructor(core: ConsumerCore, definition: SubscriptionDefinition, app: object) {
    const delivery = new Delivery(core, definition, app)
    this.#core = core
    this.#name = delivery.name
    this.title = delivery.title
    this.consumer = runsOf(core, delivery)
    this.isAsked = definition.onFailure === 'park' ? () => isSomethingAgain(core, delivery.name) : undefined
  }

  run(request?: RunRequest): Promise<RunResult> {
    return this.consumer.run(request)
  }

  async catchUp(changes: readonly Change[], signal?: AbortSignal): Promise<readonly CatchUpOutcome[]> {
    return this.consumer instanceof ByAggregate ? this.consumer.catchUp(changes, signal) : changes.map(() => undefined)
  }

  async hold(): Promise<void> {
    if (!(this.consumer instanceof ByAggregate)) await this.consumer.hold()
  }

  release(): Promise<void> {
    return this.consumer.release()
  }

  isHeld(): Promise<boolean> {
    return this.consumer.isHeld()
  }

  position(): Promise<Position> {
    return this.consumer.position()
  }

  trouble(): Promise<unknown> {
    return this.consumer.trouble()
  }

  async resume(): Promise<void> {
    await retryParked(this.#core, this.#name)
    await clearStopped(this.#core, this.#name)
    this.consumer.lookAgain()
  }

  async parked(): Promise<number> {
    return (await readAllParked(this.#core, this.#name)).length
  }
}
