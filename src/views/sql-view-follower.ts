import type { CatchUpOutcome, Change } from '../consumers/change.ts'
import type { ConsumerCore, Consumption, Processed, RunRequest, RunResult, Turn } from '../consumers/consumption.ts'
import type { Follower } from '../consumers/follower.ts'
import { endOf, type Lane, LeaseLost } from '../consumers/lane.ts'
import { undecoded } from '../consumers/outdated.ts'
import { Consumer } from '../consumers/sources/log.ts'
import { clearStopped } from '../consumers/troubles.ts'
import { ValidationError } from '../errors.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import type { Decoded } from '../evolution/decode.ts'
import { progressOf, type RebuildOptions } from './rebuild-handle.ts'
import type { SqlViewDefinition } from './view-definition.ts'

/** How often an event is tried: a database may refuse a statement for a while (a deadlock). */
const attempts = 3
const sliceMs = 500

interface Reset {
  isDone: boolean
  /** Why it could not be done. */
  failure?: { readonly error: unknown }
}

/** Hands events to the user's statements, in the transaction of the checkpoint. */
class SqlFollowing implements Consumption {
  readonly name: string
  readonly title: string
  readonly aggregateTypes: readonly string[]
  readonly from = 'beginning'
  readonly slotted = false
  readonly batchSize = 200
  readonly #core: ConsumerCore
  readonly #view: SqlViewDefinition
  /** The event that failed, how often, and how. */
  #failing: { readonly id: string; readonly tries: number; readonly error: unknown } | undefined
  /** Those who want the tables emptied, and all told again. */
  readonly resets = new Set<Reset>()

  constructor(core: ConsumerCore, view: SqlViewDefinition) {
    this.#core = core
    this.#view = view
    this.name = `sql/${view.name}`
    this.title = `The view '${view.name}'`
    this.aggregateTypes = view.aggregateTypes
  }

  async begin([turn]: readonly Turn[]): Promise<boolean> {
    const wanted = [...this.resets]
    if (wanted.length === 0 || turn === undefined) return true
    let failure: Reset['failure']
    try {
      await (turn.lane as Lane).rewind({
        store: (commit) => this.#transact(commit, (client) => this.#view.reset(client) as void | Promise<void>),
      })
    } catch (error) {
      if (error instanceof LeaseLost) throw error
      failure = { error }
    }
    // A reset that fails is told to those who wanted it, and to nobody else: the tables are as they were, and are followed on.
    for (const reset of wanted) {
      reset.isDone = true
      if (failure !== undefined) reset.failure = failure
      this.resets.delete(reset)
    }
    return true
  }

  async process(batch: readonly Decoded[]): Promise<Processed> {
    const unreadable = batch.findIndex(({ failure }) => failure !== undefined)
    const refused = this.#failing?.tries === attempts ? batch.findIndex(({ stored }) => stored.id === this.#failing?.id) : -1
    const ends = [unreadable, refused].filter((index) => index >= 0)
    const done = ends.length === 0 ? batch.length : Math.min(...ends)
    const at = batch[done]
    const error = this.#failing?.error
    const steps = batch.slice(0, done)
    // When it is resumed it is tried as often again.
    if (refused === done) this.#failing = undefined
    return {
      done,
      failure: at && (undecoded(this.title, at, 'stop') ?? { error, at: at.stored, next: 'stop' }),
      store: async (commit) => {
        let current: Decoded | undefined
        try {
          return await this.#transact(commit, (client) =>
            inTurn(
              steps.flatMap((step) => step.events.map((event) => [step, event] as const)),
              ([step, event]: readonly [Decoded, EventEnvelope]) => {
                current = step
                return this.#view.apply(client, event)
              },
            ),
          )
        } catch (error) {
          if (current === undefined) throw error
          const { id } = current.stored
          this.#failing = { id, tries: this.#failing?.id === id ? this.#failing.tries + 1 : 1, error }
          return { kind: 'conflict', on: 'view' }
        }
      },
    }
  }

  #transact(...args: Parameters<NonNullable<ConsumerCore['store']['transact']>>) {
    return (this.#core.store.transact as NonNullable<ConsumerCore['store']['transact']>).apply(this.#core.store, args)
  }
}

/**
 * One after another; at once as long as none of them gives a promise, for databases that know no waiting. What is given may be no promise of the language's own (a query builder's begins when it is
 * waited for), and so is this: where nobody waits, nothing more is begun. A store that refuses to wait catches `answer`.
 */
function inTurn<T>(items: readonly T[], run: (item: T) => unknown, from = 0): void | Promise<void> {
  for (let i = from; i < items.length; i++) {
    const answer = run(items[i] as T) as PromiseLike<unknown> | null | undefined
    if (typeof answer?.then !== 'function') continue
    const goOn = async () => {
      await answer
      await inTurn(items, run, i + 1)
    }
    // biome-ignore lint/suspicious/noThenProperty: it is waited for, or not.
    return { then: (...next: Parameters<Promise<void>['then']>) => goOn().then(...next), answer } as unknown as Promise<void>
  }
}

/** Keeps the tables of a view of the user's own. */
export class SqlViewFollower implements Follower {
  readonly title: string
  readonly #core: ConsumerCore
  readonly #following: SqlFollowing
  readonly #consumer: Consumer

  constructor(core: ConsumerCore, view: SqlViewDefinition) {
    this.#core = core
    this.#following = new SqlFollowing(core, view)
    this.title = this.#following.title
    this.#consumer = new Consumer(core, this.#following)
  }

  run(request?: RunRequest): Promise<RunResult> {
    return this.#consumer.run(request)
  }

  async catchUp(changes: readonly Change[]): Promise<readonly CatchUpOutcome[]> {
    return changes.map(() => undefined)
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

  trouble(): Promise<unknown> {
    return this.#consumer.trouble()
  }

  async resume(): Promise<void> {
    await clearStopped(this.#core, this.#following.name)
    this.#consumer.lookAgain()
  }

  async parked(): Promise<number> {
    return 0
  }

  /** Empties the tables and tells them everything again; who reads them meanwhile sees how far it has come. */
  async rebuild(options: RebuildOptions): Promise<void> {
    const { id, signal, onProgress } = options
    if (id !== undefined)
      throw new ValidationError(`${this.title} is tables of your own: it is rebuilt as a whole, without an id.`)
    signal?.throwIfAborted()
    const until = await endOf(this.#core)
    const report = await progressOf(this.#core, this.#consumer, until, onProgress, '0' as Position)
    const reset: Reset = { isDone: false }
    this.#following.resets.add(reset)
    try {
      for (;;) {
        signal?.throwIfAborted()
        if (!reset.isDone) this.#consumer.lookAgain()
        const { state, error } = await this.#consumer.run({ until, budgetMs: sliceMs, signal, keep: true })
        if (reset.failure !== undefined) throw reset.failure.error
        // What has stopped it before this call is over: it begins again.
        if (state === 'stopped' && !reset.isDone) await clearStopped(this.#core, this.#following.name)
        else if (state === 'stopped' || state === 'outdated') throw error
        if (state === 'caught-up' && reset.isDone) break
        await report(false)
        if (state !== 'more') await this.#core.runtime.sleep(20, signal)
      }
    } finally {
      this.#following.resets.delete(reset)
      await this.#consumer.release()
    }
    await report(true)
  }
}
