import { AssertionError } from 'node:assert'
import type { AnyAggregate } from '../aggregate.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import { type AggregateDefinition, definitionOf } from '../execution/aggregate-definition.ts'
import { type Call as CheckedCall, checkCall, type ExecuteOptions } from '../execution/call.ts'
import { oncePerDelivery, withoutScope } from '../execution/delivery-scope.ts'
import { commandHash, keyTaken } from '../execution/idempotency.ts'
import { frozenCopy, parseCommand } from '../execution/parse-command.ts'
import type { Accepted, Rejected } from '../execution/result.ts'
import { fail } from './assert.ts'

/** A command that a handler sent. */
export interface SentCommand {
  /** The aggregate that the handler passed to `app.aggregate`. */
  readonly aggregate: AnyAggregate
  /** Id of the aggregate. */
  readonly id: string
  /** A copy of the command as the handler sent it. */
  readonly command: { readonly type: string; readonly data?: unknown }
  /** The options that the handler passed, such as the result of `reaction()`. */
  readonly options: ExecuteOptions
}

/**
 * Result of `execute` in a test: accepted or rejected.
 *
 * For an accepted command, absent properties are as if the handler had returned no events.
 */
export type Answer =
  | {
      readonly ok: true
      readonly events?: readonly EventEnvelope[]
      readonly state?: unknown
      readonly sequence?: number
      readonly replayed?: boolean
    }
  | { readonly ok: false; readonly reason: string; readonly details?: unknown }

/** Options of `deliveredTo`: the results of commands. */
export interface DeliveryOptions {
  /**
   * Returns the result of a command, or throws the error that `execute` rejects with.
   *
   * Default, also for `undefined`: accepted, with no events, the initial state and sequence 0.
   */
  readonly answer?: (sent: SentCommand) => Answer | undefined | Promise<Answer | undefined>
}

/** One call of `execute`. */
interface Call {
  /** The sent command; absent if it was refused. */
  sent?: SentCommand
  /** An app would store it, under its key. */
  isStored?: boolean
}

/** Replaces the app of a handler: checks commands as an app does, and records them. */
export class FakeApp {
  /** The `app` that a handler receives. */
  readonly forHandler: object
  readonly #title: string
  readonly #answer: DeliveryOptions['answer']
  /** In the order of the calls. A refused call has no command. */
  readonly #calls: Call[] = []
  readonly #underWay = new Map<Promise<unknown>, string>()
  readonly #keys = new Map<string, string>()
  /** Reported even if the handler caught the error. */
  #misuse: AssertionError | undefined

  constructor(title: string, answer: DeliveryOptions['answer']) {
    this.#title = title
    this.#answer = answer
    this.forHandler = Object.freeze({ aggregate: (aggregate: AnyAggregate) => this.#handleOf(aggregate) })
  }

  get sent(): readonly SentCommand[] {
    return this.#calls.flatMap(({ sent }) => sent ?? [])
  }

  /** Waits for the calls in progress. @throws AssertionError for a mistake of the handler */
  async settle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay.keys())
    if (this.#misuse !== undefined) throw this.#misuse
  }

  /** Settles after a handler that succeeded: all its commands must have ended. */
  async finish(): Promise<void> {
    const [left] = this.#underWay.values()
    await this.settle()
    if (left !== undefined) fail(`${this.#title} ended while ${left} was in progress. Await the promise of execute.`)
  }

  #handleOf(aggregate: AnyAggregate) {
    const definition = definitionOf('app.aggregate: the argument', aggregate)
    const { type } = definition
    return Object.freeze({
      execute: (id: unknown, command: unknown, options?: ExecuteOptions) => {
        const call: Call = {}
        this.#calls.push(call)
        const running = this.#execute(aggregate, definition, id, command, options, call)
        this.#underWay.set(running, `a command on ${type} '${String(id)}'`)
        const done = () => this.#underWay.delete(running)
        running.then(done, done)
        return running
      },
      load: async () => this.#refuse('load', type),
      events: () => this.#refuse('events', type),
      ids: async () => this.#refuse('ids', type),
    })
  }

  async #execute(
    aggregate: AnyAggregate,
    definition: AggregateDefinition,
    id: unknown,
    command: unknown,
    options: ExecuteOptions = {},
    noted: Call,
  ): Promise<Accepted | Rejected> {
    const call = checkCall(definition.type, id, command, options)
    call.signal?.throwIfAborted()
    return oncePerDelivery(
      options,
      definition.type,
      call,
      () => this.#send(aggregate, definition, call, options, noted),
      () => noted.isStored === true,
    )
  }

  async #send(
    aggregate: AnyAggregate,
    definition: AggregateDefinition,
    call: CheckedCall,
    options: ExecuteOptions,
    noted: Call,
  ): Promise<Accepted | Rejected> {
    const { command, idempotencyKey } = call
    const sent: SentCommand = {
      aggregate,
      id: call.aggregateId,
      command: frozenCopy(command) as SentCommand['command'],
      options: Object.freeze(withoutScope(options)),
    }
    const hash = idempotencyKey === undefined ? '' : await commandHash(definition.type, call)
    await parseCommand(definition, call)
    const place = JSON.stringify([definition.type, call.aggregateId, idempotencyKey])
    const earlier = idempotencyKey === undefined ? undefined : this.#keys.get(place)
    if (idempotencyKey !== undefined && earlier !== undefined && earlier !== hash)
      throw keyTaken(definition.type, call, idempotencyKey)
    noted.sent = Object.freeze(sent)
    if (idempotencyKey !== undefined) this.#keys.set(place, hash)
    try {
      const answer = (await this.#answer?.(sent)) ?? { ok: true }
      // A test that does not mention events does not say that there are none.
      noted.isStored = answer.ok && answer.events?.length !== 0
      if (answer.ok)
        return { events: [], state: definition.initialState(), sequence: 0, replayed: earlier !== undefined, ...answer }
      const { reason, details } = answer
      return { ok: false, reason, details }
    } finally {
      if (!noted.isStored && earlier === undefined) this.#keys.delete(place)
    }
  }

  #refuse(method: string, type: string): never {
    this.#misuse ??= new AssertionError({
      message: `${this.#title} calls ${method} of ${type}, but this test has no store. Test it with an app on a memory store.`,
    })
    throw this.#misuse
  }
}
