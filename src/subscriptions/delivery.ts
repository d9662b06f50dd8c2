import type { Again, ConsumerCore, Consumption, Failure, Processed, Turn } from '../consumers/consumption.ts'
import { LeaseLost, placeOf } from '../consumers/lane.ts'
import { canRead, undecoded } from '../consumers/outdated.ts'
import { parkedEventId, readAllParked, readParkedOf, toParked } from '../consumers/troubles.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import type { Decoded } from '../evolution/decode.ts'
import { decodeApart } from '../evolution/decode.ts'
import { aggregatePage } from '../execution/read-page.ts'
import type { StoredEvent } from '../store/commit.ts'
import { type InternalRow, type ParkedRow, parkedRows } from '../store/internal-rows.ts'
import { comparePositions } from '../store/order.ts'
import { attempt, type Interrupted } from './attempt.ts'
import type { SubscriptionDefinition } from './definition.ts'
import { reactionsTo } from './reaction.ts'

/** A checkpoint follows the handler at the latest after this long. */
const checkpointMs = 250
/** It is counted how often an event was tried for so many events. */
const mostFailures = 1_000

/** Events go to the handler one after another, or batch by batch; the checkpoint follows. */
export class Delivery implements Consumption {
  readonly name: string
  readonly title: string
  readonly aggregateTypes: readonly string[]
  readonly from: 'beginning' | 'now' | Position
  readonly slotted: boolean
  readonly batchSize = 1_000
  readonly #core: ConsumerCore
  readonly #definition: SubscriptionDefinition
  readonly #app: object
  /** Aggregates that have an event which was parked: what follows it waits behind it. (The place of one aggregate knows it by itself.) */
  #parked = new Set<string>()
  /** Rows of parked events that this program cannot read either. */
  readonly #beyond = new Set<string>()
  /** How often events have failed, those that did so last at the end. */
  readonly #failures = new Map<string, number>()

  constructor(core: ConsumerCore, definition: SubscriptionDefinition, app: object) {
    this.#core = core
    this.#definition = definition
    this.#app = app
    this.name = subscriptionConsumer(definition.name)
    this.title = `The subscription '${definition.name}'`
    this.aggregateTypes = definition.aggregateTypes
    this.from = definition.from
    this.slotted = definition.slots
  }

  async begin(turns: readonly Turn[]): Promise<boolean | number> {
    if (turns.length === 0) return true
    let taken = 0
    const rows = await readAllParked(this.#core, this.name)
    this.#parked = new Set(rows.flatMap(({ value }) => (value === undefined ? [] : [keyOf(value)])))
    for (const one of rows.flatMap((row) => this.#againOf(row))) {
      const turn = turns.find(({ lane }) => lane.covers(one.aggregateType, one.aggregateId))
      if (turn !== undefined && !turn.isOver()) taken += await one.deliver(turn)
    }
    return taken
  }

  async again(): Promise<readonly Again[]> {
    return (await readAllParked(this.#core, this.name)).flatMap((row) => this.#againOf(row))
  }

  /** What was asked for, and what could not be read by whoever parked it, once this program can. */
  #againOf({ id, version, value }: InternalRow<ParkedRow>): readonly Again[] {
    const place = `${id}/${version}`
    if (value === undefined || !(value.again || (value.unreadable && !this.#beyond.has(place)))) return []
    const { aggregateType, aggregateId } = value
    const deliver = async (turn: Turn) => {
      if (value.again || (await canRead(this.#core, parkedEventId(value)))) return this.#deliverParked(value, turn)
      this.#beyond.add(place)
      return 0
    }
    return [{ aggregateType, aggregateId, deliver }]
  }

  async process(batch: readonly Decoded[], turn: Turn): Promise<Processed> {
    const { runtime } = this.#core
    const began = runtime.now().getTime()
    let done = 0
    const mayGoOn = () => done === 0 || (!turn.isOver() && runtime.now().getTime() - began < checkpointMs)
    while (done < batch.length && !turn.signal.aborted && mayGoOn()) {
      const next = batch[done] as Decoded
      if (this.#waits(next.stored, turn)) {
        done++
        continue
      }
      const unreadable = undecoded(this.title, next, this.#definition.onFailure === 'retry' ? 'wait' : 'stop')
      if (unreadable?.next === 'outdated') return { done, failure: unreadable }
      const run = next.failure === undefined ? this.#together(batch, done, turn) : 1
      const outcome = await this.#deliver(batch.slice(done, done + run), turn)
      done += outcome.done
      if (outcome.kind === 'interrupted') return { done }
      if (outcome.kind !== 'failed') continue
      const { error, at } = outcome
      const isUnreadable = unreadable === undefined ? {} : ({ isUnreadable: true } as const)
      if (this.#definition.onFailure !== 'park')
        return { done, failure: { error, at, next: this.#definition.onFailure === 'stop' ? 'stop' : 'wait', ...isUnreadable } }
      await this.#park(
        { error, at, ...isUnreadable },
        done === 0 ? turn.lane.position : placeOf((batch[done - 1] as Decoded).stored),
        turn,
      )
    }
    return { done }
  }

  /** How many stored events go to the handler at once, from this one on. The parts of one are never divided. */
  #together(batch: readonly Decoded[], start: number, turn: Turn): number {
    const { batchSize, isBatched } = this.#definition
    if (!isBatched) return 1
    let run = 1
    let parts = partsOf(batch[start] as Decoded)
    for (;;) {
      const next = batch[start + run]
      if (next === undefined || next.failure !== undefined || this.#waits(next.stored, turn)) return run
      parts += partsOf(next)
      if (parts > batchSize) return run
      run++
    }
  }

  #waits(event: StoredEvent, { lane }: Turn): boolean {
    return lane.isParked ?? this.#parked.has(keyOf(event))
  }

  /** A batch that fails is delivered event by event, to find which of them it is. */
  async #deliver(run: readonly Decoded[], turn: Turn): Promise<Delivered> {
    const last = run.at(-1) as Decoded
    const events = run.flatMap((one) => this.#wanted(one))
    const alone = run.length === 1
    const failure = alone ? last.failure : undefined
    const tried =
      failure !== undefined
        ? this.#unreadable(last, failure.error)
        : events.length === 0
          ? 'done'
          : await this.#try(events, turn, alone ? last.stored : undefined)
    if (tried === 'done') return { kind: 'done', done: run.length }
    if (tried === 'interrupted') return { kind: 'interrupted', done: 0 }
    if (alone) return { kind: 'failed', done: 0, error: tried.error, at: last.stored }
    let done = 0
    for (const one of run) {
      const outcome = await this.#deliver([one], turn)
      done += outcome.done
      if (outcome.kind !== 'done') return { ...outcome, done }
    }
    return { kind: 'done', done }
  }

  #unreadable({ stored }: Decoded, error: unknown) {
    this.#core.observe?.({ kind: 'delivery', subscription: this.#definition.name, eventId: stored.id, attempt: 1, error })
    return { error }
  }

  #wanted({ events }: Decoded): readonly EventEnvelope[] {
    const { eventTypes } = this.#definition
    return eventTypes === undefined ? events : events.filter(({ type }) => eventTypes.has(type))
  }

  /** Calls the handler as often as `attempts` says; with all events at once, or with one part after the other. `alone`: the stored event that is to blame. */
  async #try(
    events: readonly EventEnvelope[],
    turn: Turn,
    alone: StoredEvent | undefined,
  ): Promise<'done' | Interrupted | { readonly error: unknown }> {
    const { attempts, isBatched } = this.#definition
    const calls = isBatched ? [events] : events.map((event) => [event])
    for (let tries = 1; ; tries++) {
      const nth = alone === undefined ? 1 : this.#count(alone)
      let outcome: Awaited<ReturnType<typeof attempt>> = 'done'
      for (let i = 0; outcome === 'done' && i < calls.length; i++)
        outcome = await this.#call(calls[i] as readonly EventEnvelope[], nth, turn)
      if (outcome === 'done' && alone !== undefined) this.#failures.delete(alone.id)
      if (outcome === 'done' || outcome === 'interrupted') return outcome
      if (alone === undefined || tries >= attempts) return outcome
      await this.#core.runtime.sleep(Math.min(1_000, 50 * 2 ** tries)).catch(() => {})
      if (turn.isOver()) return 'interrupted'
    }
  }

  /** Calls the handler once. What it did wrong with a reaction fails the delivery, also where it has caught the error. */
  async #call(
    events: readonly EventEnvelope[],
    nth: number,
    turn: Turn,
  ): Promise<'done' | Interrupted | { readonly error: unknown }> {
    const { name, handle, timeoutMs } = this.#definition
    if (turn.signal.reason instanceof LeaseLost) throw turn.signal.reason
    if (turn.signal.aborted) return 'interrupted'
    await turn.lane.prove()
    const { reaction, scope } = await reactionsTo(this.#definition, events)
    const context = { app: this.#app, attempt: nth, reaction }
    const answer = await attempt(this.#core, turn.signal, timeoutMs, (signal) => handle(events, { ...context, signal }))
    if (turn.signal.reason instanceof LeaseLost) throw turn.signal.reason
    const outcome = answer === 'done' && scope.misuse !== undefined ? { error: scope.misuse } : answer
    if (typeof outcome === 'object')
      this.#core.observe?.({
        kind: 'delivery',
        subscription: name,
        eventId: (events[0] as EventEnvelope).id,
        attempt: nth,
        error: outcome.error,
      })
    return outcome
  }

  /** An event that cannot be read is tried once. */
  #triesOf({ id }: StoredEvent): number {
    return this.#failures.get(id) ?? 1
  }

  #count({ id }: StoredEvent): number {
    const attempts = (this.#failures.get(id) ?? 0) + 1
    this.#failures.delete(id)
    this.#failures.set(id, attempts)
    if (this.#failures.size > mostFailures) this.#failures.delete(this.#failures.keys().next().value as string)
    return attempts
  }

  async #park(failure: Omit<Failure, 'next'>, position: Position, { lane }: Turn): Promise<void> {
    const { at: event, error } = failure
    const parked = toParked(this.name, failure, this.#triesOf(event), this.#core.runtime.now())
    for (;;) {
      const row = await readParkedOf(this.#core, this.name, event)
      if ((await lane.save(position, { views: [parkedRows.write(row, parked)], parks: true })) === 'saved') break
      await lane.read?.()
      // Another process has been here: the event is done, or it was parked there.
      if (lane.isParked || isPast(event, lane.position)) return
    }
    this.#parked.add(keyOf(parked))
    this.#core.observe?.({ kind: 'parked', subscription: this.#definition.name, eventId: event.id, error })
  }

  /** Tries an event that was parked again, and what waits behind it, up to where the subscription is; answers how many were taken. */
  async #deliverParked(parked: ParkedRow, turn: Turn): Promise<number> {
    const { aggregateType, aggregateId } = parked
    const { lane } = turn
    const definition = this.#core.definitions.get(aggregateType)
    let taken = 0
    if (definition === undefined) return taken
    this.#failures.set(parkedEventId(parked), parked.attempts)
    let left: ParkedRow | null = null
    const { parkedAt } = parked
    for (let after = parked.sequence - 1; ; ) {
      const row = await readParkedOf(this.#core, this.name, parked)
      if (row.value?.again !== true && !(row.value?.unreadable && row.value.sequence === parked.sequence)) return taken
      for (let more = left === null; more; ) {
        const page = await aggregatePage(this.#core, { aggregateType, aggregateId, after })
        const passed = page.events.filter((event) => isPast(event, lane.position))
        for (const one of await decodeApart(this.#core, () => definition, passed)) {
          const unreadable = undecoded(this.title, one, 'stop')
          const isNewer = unreadable?.next === 'outdated'
          // Nothing is stored about an event that is left to a newer program, but what was done before it must not be done again.
          if (isNewer && taken === 0) return taken
          const outcome = isNewer ? { kind: 'failed' as const, error: unreadable.error } : await this.#deliver([one], turn)
          if (outcome.kind === 'interrupted') return taken
          if (outcome.kind === 'failed') {
            const failure = { at: one.stored, error: outcome.error, ...(unreadable && { isUnreadable: true as const }) }
            left = { ...toParked(this.name, failure, this.#triesOf(one.stored), this.#core.runtime.now()), parkedAt }
            break
          }
          after = one.stored.sequence
          taken++
        }
        more = left === null && page.more && passed.length === page.events.length
      }
      const saved = await lane.save(lane.position, { views: [parkedRows.write(row, left)], parks: left !== null })
      if (saved === 'saved') break
      // Another process has passed over more that waits.
      await lane.read?.()
    }
    if (left === null) this.#parked.delete(keyOf(parked))
    return taken
  }
}

type Delivered =
  | { readonly kind: 'done' | 'interrupted'; readonly done: number }
  | { readonly kind: 'failed'; readonly done: number; readonly error: unknown; readonly at: StoredEvent }

/** An event that is dropped is one as well: it takes a place in the batch. */
const partsOf = ({ events }: Decoded): number => Math.max(1, events.length)

const isPast = (event: StoredEvent, position: Position): boolean => comparePositions(placeOf(event), position) <= 0

/** Name of a subscription's lease and checkpoint. */
export const subscriptionConsumer = (name: string): string => `subscription/${name}`

const keyOf = ({ aggregateType, aggregateId }: { readonly aggregateType: string; readonly aggregateId: string }): string =>
  `${aggregateType}/${aggregateId}`
