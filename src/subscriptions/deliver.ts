import type { ConsumerCore } from '../consumers/core.ts'
import { HandlerCall } from '../consumers/handler-call.ts'
import { LeaseLost } from '../consumers/lease.ts'
import { actingConsumer } from '../consumers/names.ts'
import { undecoded } from '../consumers/outdated.ts'
import type { Failure, Processor, Taken, Turn } from '../consumers/processor.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import type { Decoded } from '../evolution/decode.ts'
import type { StoredEvent } from '../store/commit.ts'
import { Countdown } from '../util/countdown.ts'
import { attempt, type Interrupted } from './attempt.ts'
import type { SubscriptionDefinition } from './definition.ts'
import { OnceCalls } from './once.ts'
import { reactionsTo } from './reaction.ts'

/** The checkpoint follows the handler within this time. */
const checkpointMs = 250
/** Attempts are counted for up to this many events. */
const mostTries = 1_000

/** Delivers events to the handler, one by one or in batches; the checkpoint follows. */
export class Delivery implements Processor {
  readonly name: string
  readonly title: string
  readonly aggregateTypes: readonly string[]
  readonly from: 'beginning' | 'now' | Position
  readonly mode = 'act'
  readonly label: string
  readonly kind = 'subscription'
  readonly partitions: number
  readonly concurrency: number
  readonly batchSize: number
  readonly onFailure: Processor['onFailure']
  readonly #core: ConsumerCore
  readonly #definition: SubscriptionDefinition
  readonly #app: object
  /** Attempts by event, the latest attempt last. */
  readonly #tries = new Map<string, Tries>()

  constructor(core: ConsumerCore, definition: SubscriptionDefinition, app: object) {
    this.#core = core
    this.#definition = definition
    this.#app = app
    this.name = actingConsumer('subscription', definition.storedAs)
    this.title = `The subscription '${definition.name}'`
    this.aggregateTypes = definition.aggregateTypes
    this.from = definition.from
    this.label = definition.name
    this.partitions = definition.partitions
    this.concurrency = definition.concurrency
    this.batchSize = definition.batchSize
    this.onFailure = definition.onFailure
  }

  async take(batch: readonly Decoded[], turn: Turn): Promise<Taken> {
    const { runtime } = this.#core
    const countdown = new Countdown(runtime, checkpointMs)
    let done = 0
    const mayGoOn = () => done === 0 || (!turn.isOver() && !countdown.isOver)
    while (done < batch.length && !turn.signal.aborted && mayGoOn()) {
      const next = batch[done] as Decoded
      const unreadable = undecoded(this.title, next)
      if (unreadable !== undefined) {
        if (unreadable.kind !== 'outdated') this.#report(next.stored.id, 1, unreadable.error)
        return { done, failure: unreadable }
      }
      const run = this.#together(batch, done)
      // Stored failures concern the first event only.
      const outcome = await this.#deliver(batch.slice(done, done + run), done === 0 ? turn : { ...turn, failures: 0 })
      done += outcome.done
      if (outcome.kind === 'interrupted') return { done }
      if (outcome.kind === 'failed') return { done, failure: outcome.failure }
    }
    return { done }
  }

  /**
   * Returns the number of stored events for one call, from this one on. Parts of an event stay
   * together.
   */
  #together(batch: readonly Decoded[], start: number): number {
    const { batchSize, isBatched } = this.#definition
    if (!isBatched) return 1
    let run = 1
    let parts = partsOf(batch[start] as Decoded)
    for (;;) {
      const next = batch[start + run]
      if (next === undefined || next.failure !== undefined) return run
      parts += partsOf(next)
      if (parts > batchSize) return run
      run++
    }
  }

  /** Delivers events; after a failed batch one by one, to find the event that fails. */
  async #deliver(run: readonly Decoded[], turn: Turn): Promise<Delivered> {
    const last = run.at(-1) as Decoded
    const events = run.flatMap((one) => this.#wanted(one))
    const alone = run.length === 1
    const tried = events.length === 0 ? 'done' : await this.#try(events, turn, alone ? last.stored : undefined)
    if (tried === 'done') return { kind: 'done', done: run.length }
    if (tried === 'interrupted') return { kind: 'interrupted', done: 0 }
    if (alone) {
      const { id } = last.stored
      return {
        kind: 'failed',
        done: 0,
        failure: { at: last.stored, error: tried.error, kind: 'failed', attempts: this.#tries.get(id)?.inAll ?? 1 },
      }
    }
    let done = 0
    for (const [i, one] of run.entries()) {
      const outcome = await this.#deliver([one], i === 0 ? turn : { ...turn, failures: 0 })
      done += outcome.done
      if (outcome.kind !== 'done') return { ...outcome, done }
    }
    return { kind: 'done', done }
  }

  #report(eventId: string, attempt: number, error: unknown): void {
    this.#core.observe?.({ kind: 'delivery', subscription: this.label, eventId, attempt, error })
  }

  #wanted({ events }: Decoded): readonly EventEnvelope[] {
    const { eventTypes } = this.#definition
    return eventTypes === undefined ? events : events.filter(({ type }) => eventTypes.has(type))
  }

  /**
   * Calls the handler up to `maxAttempts` times, with all events or one part at a time. A failure
   * belongs to the stored event `alone`.
   */
  async #try(
    events: readonly EventEnvelope[],
    turn: Turn,
    alone: StoredEvent | undefined,
  ): Promise<'done' | Interrupted | { readonly error: unknown }> {
    const { maxAttempts, isBatched } = this.#definition
    const calls = isBatched ? [events] : events.map((event) => [event])
    for (;;) {
      const tries = alone === undefined ? { inAll: 1, inTurn: maxAttempts } : this.#count(alone, turn.failures)
      let outcome: Awaited<ReturnType<typeof attempt>> = 'done'
      for (let i = 0; outcome === 'done' && i < calls.length; i++)
        outcome = await this.#call(calls[i] as readonly EventEnvelope[], tries.inAll, turn, alone)
      if (outcome === 'done' && alone !== undefined) this.#tries.delete(alone.id)
      if (outcome === 'interrupted') tries.inTurn--
      if (outcome === 'done' || outcome === 'interrupted') return outcome
      if (tries.inTurn >= maxAttempts) {
        tries.inTurn = 0
        return outcome
      }
      await this.#core.runtime.sleep(Math.min(1_000, 50 * 2 ** tries.inTurn)).catch(() => {})
      // The next run continues this count: otherwise short runs would never reach the last attempt.
      if (turn.isOver()) return 'interrupted'
    }
  }

  /**
   * Calls the handler once. A misused reaction fails the delivery, even if the handler caught the
   * error.
   */
  async #call(
    events: readonly EventEnvelope[],
    nth: number,
    turn: Turn,
    alone: StoredEvent | undefined,
  ): Promise<'done' | Interrupted | { readonly error: unknown }> {
    const { handle, timeoutMs, isBatched } = this.#definition
    if (turn.signal.reason instanceof LeaseLost) throw turn.signal.reason
    if (turn.signal.aborted) return 'interrupted'
    await turn.prove()
    const { reaction, scope } = await reactionsTo(this.#definition, events)
    const [first] = events as readonly [EventEnvelope]
    const { results } = turn
    const stored = alone && results && { event: alone, results }
    let calls: OnceCalls | undefined
    let hasEnded = false
    const once: OnceCalls['once'] = (...args) => {
      calls ??= new OnceCalls(this.#definition, first, stored)
      if (hasEnded) void calls.end()
      return calls.once(...args)
    }
    const app = this.#app
    const call = new HandlerCall(this.#core, this.title)
    const answer = await attempt(this.#core, turn.signal, timeoutMs, (ending) =>
      call.run(() =>
        handle(events, {
          app,
          attempt: nth,
          reaction,
          ...(isBatched ? {} : { once }),
          get signal() {
            return ending.signal
          },
        }),
      ),
    ).finally(() => call.end())
    hasEnded = true
    await calls?.end()
    if (turn.signal.reason instanceof LeaseLost) throw turn.signal.reason
    if (calls?.failure !== undefined) throw calls.failure.error
    const outcome = answer === 'done' && scope.misuse !== undefined ? { error: scope.misuse } : answer
    if (typeof outcome === 'object') this.#report(first.id, nth, outcome.error)
    return outcome
  }

  /** Counts an attempt. `stored`: failures of this event according to the store. */
  #count({ id }: StoredEvent, stored = 0): Tries {
    const before = this.#tries.get(id) ?? { inAll: 0, inTurn: 0 }
    const tries = { inAll: Math.max(before.inAll, stored) + 1, inTurn: before.inTurn + 1 }
    this.#tries.delete(id)
    this.#tries.set(id, tries)
    if (this.#tries.size > mostTries) this.#tries.delete(this.#tries.keys().next().value as string)
    return tries
  }
}

/** Attempts of an event: in all, and since it last stopped the subscription or was parked. */
interface Tries {
  readonly inAll: number
  inTurn: number
}

type Delivered =
  | { readonly kind: 'done' | 'interrupted'; readonly done: number }
  | { readonly kind: 'failed'; readonly done: number; readonly failure: Failure }

/** An event that an upcaster drops also counts as one. */
const partsOf = ({ events }: Decoded): number => Math.max(1, events.length)
