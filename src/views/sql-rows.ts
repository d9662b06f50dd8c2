import type { ConsumerCore } from '../consumers/core.ts'
import { HandlerCall } from '../consumers/handler-call.ts'
import { sqlViewConsumer } from '../consumers/names.ts'
import { undecoded } from '../consumers/outdated.ts'
import type { CheckpointCommit, Processor, Taken } from '../consumers/processor.ts'
import type { Decoded } from '../evolution/decode.ts'
import type { CommitOutcome } from '../store/commit.ts'
import type { SqlViewDefinition } from './view-definition.ts'

/** Attempts per event: a database may refuse a statement for a while (a deadlock). */
const attempts = 3

/** Passes events to the user's statements, in the transaction of the checkpoint. */
export class SqlRows implements Processor {
  readonly name: string
  readonly title: string
  readonly aggregateTypes: readonly string[]
  readonly label: string
  readonly kind = 'sqlView'
  readonly from = 'beginning'
  readonly mode = 'fold'
  readonly partitions = 1
  readonly concurrency = 1
  readonly onFailure = 'stop'
  readonly batchSize = 200
  readonly #core: ConsumerCore
  readonly #view: SqlViewDefinition
  /** The event that failed, its attempts and its error. */
  #failing: { readonly id: string; readonly tries: number; readonly error: unknown } | undefined

  constructor(core: ConsumerCore, view: SqlViewDefinition) {
    this.#core = core
    this.#view = view
    this.name = sqlViewConsumer(view.storedAs)
    this.title = `The view '${view.name}'`
    this.label = view.name
    this.aggregateTypes = view.aggregateTypes
  }

  /** Empties the tables, in the transaction of a checkpoint. */
  reset(commit: CheckpointCommit): Promise<CommitOutcome> {
    return this.#transact(commit, (client) => this.#view.reset(client) as void | Promise<void>)
  }

  async take(batch: readonly Decoded[]): Promise<Taken> {
    const unreadable = batch.findIndex(({ failure }) => failure !== undefined)
    const refused = this.#failing?.tries === attempts ? batch.findIndex(({ stored }) => stored.id === this.#failing?.id) : -1
    const ends = [unreadable, refused].filter((index) => index >= 0)
    const done = ends.length === 0 ? batch.length : Math.min(...ends)
    const at = batch[done]
    const error = this.#failing?.error
    const steps = batch.slice(0, done)
    // After a resume, the event has all its attempts again.
    if (refused === done) this.#failing = undefined
    return {
      done,
      failure: at && (undecoded(this.title, at) ?? { error, at: at.stored, kind: 'failed' }),
      effects: { transaction: (commit) => this.#apply(commit, steps) },
    }
  }

  async #apply(commit: CheckpointCommit, steps: readonly Decoded[]): Promise<CommitOutcome> {
    let current: Decoded | undefined
    const events = steps.flatMap((step) => step.events.map((event) => [step, event] as const))
    const call = new HandlerCall(this.#core, this.title)
    try {
      return await this.#transact(commit, (client) =>
        inTurn(events, ([step, event]) => {
          current = step
          return call.run(() => this.#view.apply(client, event))
        }),
      )
    } catch (error) {
      if (current === undefined) throw error
      const { id } = current.stored
      this.#failing = { id, tries: this.#failing?.id === id ? this.#failing.tries + 1 : 1, error }
      return { kind: 'conflict', on: 'view' }
    } finally {
      call.end()
      HandlerCall.rest()
    }
  }

  #transact(...args: Parameters<NonNullable<ConsumerCore['store']['transact']>>) {
    return (this.#core.store.transact as NonNullable<ConsumerCore['store']['transact']>).apply(this.#core.store, args)
  }
}

/**
 * Runs one item after another, synchronously as long as none returns a promise, for synchronous
 * drivers. Both the items and the result may be lazy thenables, as query builders have: without a
 * `then` call, nothing more starts. A store that cannot wait catches the rejection of `answer`.
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
