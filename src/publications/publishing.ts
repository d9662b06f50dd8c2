import type { ConsumerCore } from '../consumers/core.ts'
import { HandlerCall } from '../consumers/handler-call.ts'
import { LeaseLost } from '../consumers/lease.ts'
import { actingConsumer } from '../consumers/names.ts'
import { undecoded } from '../consumers/outdated.ts'
import type { Failure, Processor, Taken, Turn } from '../consumers/processor.ts'
import type { Position } from '../event-envelope.ts'
import type { Decoded } from '../evolution/decode.ts'
import { Countdown } from '../util/countdown.ts'
import type { CloudEvent } from './cloud-event.ts'
import { type Mapped, Mapping, sendable } from './map-events.ts'
import type { PublicationDefinition } from './publication-definition.ts'
import { type Answer, Round, type RoundResult } from './round.ts'
import { sendTo } from './send.ts'
import { isPermanent } from './target.ts'

/** Largest number of events in a round. */
const batchSize = 1_000
/** No call of a round begins later than this, so that the checkpoint follows soon. */
const roundMs = 1_000

interface Event {
  readonly decoded: Decoded
  readonly mapped: Mapped
}

/** Publishes events in rounds; the checkpoint passes the longest prefix that is acknowledged. */
export class Publishing implements Processor {
  readonly name: string
  readonly title: string
  readonly label: string
  readonly kind = 'publication'
  readonly mode = 'act'
  readonly aggregateTypes: readonly string[]
  readonly from: 'beginning' | 'now' | Position
  readonly partitions: number
  readonly concurrency = 1
  readonly batchSize = batchSize
  readonly onFailure: Processor['onFailure']
  readonly #core: ConsumerCore
  readonly #definition: PublicationDefinition
  readonly #mapping: Mapping
  /** Messages acknowledged ahead of an event that is not done: they are not sent again. */
  readonly #ahead = new Set<string>()
  /** Messages that failed in the present run and are not reported yet, by id. */
  readonly #failed = new Map<string, unknown>()
  #run: AbortSignal | undefined

  constructor(core: ConsumerCore, definition: PublicationDefinition) {
    const { storedAs, name, aggregateTypes, from, partitions, onFailure } = definition
    this.#core = core
    this.#definition = definition
    this.#mapping = new Mapping(definition)
    this.name = actingConsumer('publication', storedAs)
    this.title = `The publication '${name}'`
    this.label = name
    this.aggregateTypes = aggregateTypes
    this.from = from
    this.partitions = partitions
    this.onFailure = onFailure
  }

  /** Forgets all acknowledgements: a reset sends everything again. */
  forget(): void {
    this.#ahead.clear()
  }

  async take(batch: readonly Decoded[], turn: Turn): Promise<Taken> {
    const unreadable = undecoded(this.title, batch[0] as Decoded)
    if (unreadable !== undefined) return { done: 0, failure: unreadable }
    if (this.#run !== turn.signal) this.#failed.clear()
    this.#run = turn.signal
    const end = batch.findIndex(({ failure }) => failure !== undefined)
    const readable = end < 0 ? batch : batch.slice(0, end)
    const events = await Promise.all(readable.map(async (decoded) => ({ decoded, mapped: await this.#mapping.of(decoded) })))
    return this.#takenOf(events, await this.#round(events, turn), turn)
  }

  /** Sends what may be sent and is not acknowledged yet. */
  async #round(events: readonly Event[], turn: Turn): Promise<RoundResult> {
    const { runtime, observe } = this.#core
    const { contract, target } = this.#definition
    const messages = sendable(events).filter(({ id }) => !this.#ahead.has(id))
    const countdown = new Countdown(runtime, roundMs)
    const began = runtime.now().getTime()
    const result = await new Round(target, messages, {
      send: (some) => this.#send(some, turn),
      isOver: () => turn.isOver() || countdown.isOver,
      known: this.#failed,
    }).run()
    for (const { id } of result.acknowledged) this.#ahead.add(id)
    for (const [{ id }, error] of result.failed) this.#failed.set(id, error)
    const ms = runtime.now().getTime() - began
    const counts = { messages: result.acknowledged.size, failed: result.failed.size }
    if (messages.length > 0) observe?.({ kind: 'published', publication: contract, target: target.name, ...counts, ms })
    return result
  }

  /** Calls the target under the lease. */
  async #send(messages: readonly CloudEvent[], turn: Turn): Promise<Answer> {
    if (turn.signal.reason instanceof LeaseLost) throw turn.signal.reason
    if (turn.signal.aborted) return 'interrupted'
    await turn.prove()
    const { target, timeoutMs } = this.#definition
    const call = new HandlerCall(this.#core, this.title)
    const answer = await call.run(() => sendTo(this.#core, target, timeoutMs, messages, turn.signal)).finally(() => call.end())
    if (turn.signal.reason instanceof LeaseLost) throw turn.signal.reason
    return answer
  }

  #takenOf(events: readonly Event[], { failed, away }: RoundResult, { failures = 0 }: Turn): Taken {
    const isDone = ({ mapped }: Event) => !('error' in mapped) && mapped.messages.every(({ id }) => this.#ahead.has(id))
    const until = events.findIndex((one) => !isDone(one))
    const done = until < 0 ? events.length : until
    for (const { mapped } of events.slice(0, done))
      if (!('error' in mapped)) for (const { id } of mapped.messages) this.#ahead.delete(id)
    const next = events[done]
    const error = next && errorOf(next.mapped, failed, away)
    if (next === undefined || error === undefined) return { done }
    if (!('error' in next.mapped)) for (const { id } of next.mapped.messages) this.#failed.delete(id)
    const at = next.decoded.stored
    // Stored failures concern the first event only.
    const attempts = (done === 0 ? failures : 0) + 1
    this.#core.observe?.({ kind: 'delivery', subscription: this.label, eventId: at.id, attempt: attempts, error: error.error })
    return { done, failure: { at, kind: 'failed', attempts, ...error } }
  }
}

/** Returns why an event is not done; `undefined` if there was no time for it. */
function errorOf(
  mapped: Mapped,
  failed: RoundResult['failed'],
  away: RoundResult['away'],
): Pick<Failure, 'error' | 'retry'> | undefined {
  if ('error' in mapped) return { error: mapped.error, retry: 'never' }
  const message = mapped.messages.find((one) => failed.has(one))
  if (message === undefined) return away && { error: away.error, retry: 'all' }
  const error = failed.get(message)
  return isPermanent(error) ? { error, retry: 'never' } : { error }
}
