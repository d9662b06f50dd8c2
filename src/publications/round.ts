import type { CloudEvent } from './cloud-event.ts'
import { permanent, sizeAsJson, type Target } from './target.ts'

/** Outcome of one call of a target: an error or `undefined` per message, in order. */
export type Answer = 'interrupted' | { readonly away: unknown } | { readonly errors: readonly unknown[] }

/** Outcome of a round. A message without an entry was not sent, or its outcome is unknown. */
export interface RoundResult {
  readonly acknowledged: ReadonlySet<CloudEvent>
  readonly failed: ReadonlyMap<CloudEvent, unknown>
  /** Why the target could not be reached. */
  readonly away?: { readonly error: unknown }
}

export interface RoundOptions {
  readonly send: (messages: readonly CloudEvent[]) => Promise<Answer>
  /** Whether no further call should begin. */
  readonly isOver: () => boolean
  /** Messages that have failed already, by id. They are not sent. */
  readonly known?: ReadonlyMap<string, unknown>
}

/**
 * Sends messages within the limits of a target. A message that fails holds back the later messages
 * of its key, and no others.
 */
export class Round {
  readonly #target: Target
  readonly #send: (messages: readonly CloudEvent[]) => Promise<Answer>
  readonly #isOver: () => boolean
  readonly #known: ReadonlyMap<string, unknown>
  readonly #acknowledged = new Set<CloudEvent>()
  readonly #failed = new Map<CloudEvent, unknown>()
  /** Keys that must not be sent now: a message of theirs is in flight, or has failed. */
  readonly #held = new Set<unknown>()
  #left: readonly CloudEvent[]
  #away: { readonly error: unknown } | undefined
  #broken: { readonly error: unknown } | undefined
  #isEnding = false

  constructor(target: Target, messages: readonly CloudEvent[], { send, isOver, known = new Map() }: RoundOptions) {
    this.#target = target
    this.#left = messages
    this.#send = send
    this.#isOver = isOver
    this.#known = known
  }

  /** Runs once. Rejects with what `send` rejects with, once all calls have ended. */
  async run(): Promise<RoundResult> {
    const { keeps, calls = 1 } = this.#target
    const atOnce = keeps === 'order' ? 1 : calls
    const inFlight = new Set<Promise<void>>()
    for (let isFirst = true; ; isFirst = false) {
      while (inFlight.size < atOnce && !this.#isEnding && (isFirst || !this.#isOver())) {
        const next = this.#next()
        if (next.length === 0) break
        const call = this.#call(next).then(() => void inFlight.delete(call))
        inFlight.add(call)
      }
      if (inFlight.size === 0) break
      await Promise.race(inFlight)
    }
    if (this.#broken !== undefined) throw this.#broken.error
    return { acknowledged: this.#acknowledged, failed: this.#failed, ...(this.#away && { away: this.#away }) }
  }

  /** Takes the messages of the next call, in order. */
  #next(): readonly CloudEvent[] {
    const { name, keeps, most, sizeOf = sizeAsJson } = this.#target
    const call: CloudEvent[] = []
    const left: CloudEvent[] = []
    let bytes = 0
    let isFull = false
    for (const message of this.#left) {
      const key = this.#keyOf(message)
      if (isFull || call.length === most.messages || this.#held.has(key)) {
        left.push(message)
        continue
      }
      if (this.#known.has(message.id)) {
        this.#fail(message, this.#known.get(message.id))
        continue
      }
      const size = sizeOf(message)
      if (size > most.bytes) {
        const limit = `the limit of the target '${name}' is ${most.bytes} (mostBytes)`
        this.#fail(message, permanent(`The message of event ${message.id} has ${size} bytes; ${limit}. Shorten its data.`))
      } else if (bytes + size > most.bytes) {
        // What is left keeps its place: later messages of other keys must not starve it.
        isFull = true
        left.push(message)
      } else {
        call.push(message)
        bytes += size
        if (keeps !== 'order') this.#held.add(key)
      }
    }
    this.#left = left
    return call
  }

  async #call(messages: readonly CloudEvent[]): Promise<void> {
    let answer: Answer
    try {
      answer = await this.#send(messages)
    } catch (error) {
      this.#broken ??= { error }
      this.#isEnding = true
      return
    }
    if (answer === 'interrupted' || 'away' in answer) {
      this.#isEnding = true
      if (answer !== 'interrupted') this.#away ??= { error: answer.away }
      return
    }
    for (const [i, message] of messages.entries()) {
      const error = answer.errors[i]
      if (error === undefined) {
        this.#acknowledged.add(message)
        if (this.#target.keeps !== 'order') this.#held.delete(this.#keyOf(message))
      } else this.#fail(message, error)
    }
  }

  #fail(message: CloudEvent, error: unknown): void {
    this.#failed.set(message, error)
    this.#held.add(this.#keyOf(message))
  }

  /** Without an order, each message is a key of its own. */
  #keyOf(message: CloudEvent): unknown {
    return this.#target.keeps === 'nothing' ? message : message.partitionkey
  }
}
