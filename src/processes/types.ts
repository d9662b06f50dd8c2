import type { Aggregate, AnyAggregate, EnvelopeOf } from '../aggregate.ts'
import type { RejectedBy } from '../aggregate-handle.ts'
import type { Due } from '../due/duration.ts'
import type { Metadata } from '../event-envelope.ts'
import type { DataOf, Message, ReadonlyData, SchemaInput, SchemaOutput, Shape } from '../message.ts'
import type { SendTo, SentCommand } from '../send-to.ts'

/** External calls that a process may ask for: name → shapes of the input and the output, both JSON. */
export type Calls = Readonly<Record<string, { readonly input: Shape; readonly output: Shape }>>

/** An external call, as plain data: `{ call: 'charge', data }`. */
export type CallTo<K extends Calls> = {
  [Q in keyof K & string]: { readonly call: Q } & DataOf<SchemaInput<K[Q]['input']>>
}[keyof K & string]

/**
 * The decision of a process on one input. All of it is stored together with the fact that the input
 * was processed. An absent field changes nothing.
 */
export interface Step<S, Send, T extends string> {
  /** The next state; JSON. */
  readonly state?: ReadonlyData<S>
  /** Commands and calls, done one after another in this order, after those that still wait. */
  readonly send?: readonly Send[]
  /** The same, in place of those that still wait. A call that has begun stays: its reply comes. */
  readonly instead?: readonly Send[]
  /** Sets a timer of this name, which moves it if it is set; `null` cancels it. */
  readonly timers?: { readonly [K in T]?: Due | null }
  /**
   * Ends the instance with this outcome. Its timers are canceled, and what waits to be sent is
   * still sent. It receives no further input, and no event starts it again.
   */
  readonly done?: string
}

/** A command or call that waits to be sent. In `instead`, it keeps its place in the history. */
export type Waiting<Send> = Send & {
  /** The call may have been made already. Always `false` for a command. */
  readonly begun: boolean
}

/** Context that a handler of a process receives besides the state and the input. */
export interface StepContext<Send = unknown> {
  /** Id of the instance. */
  readonly id: string
  /**
   * Instant of the input: `recordedAt` of an event, the due time of a timer, the moment of a reply.
   * `{ in }` counts from it.
   */
  readonly at: Date
  /** `correlationId` of the event that started the instance, or the id of that event. */
  readonly correlationId: string
  /** Commands and calls that are not done yet, in order. */
  readonly waiting: readonly Waiting<Send>[]
}

/** The outcome of a command. It is stored only together with the step that answers it. */
export type ReplyFrom<A, K> =
  A extends Aggregate<infer T>
    ? K extends keyof T['commands'] & string
      ?
          | {
              readonly ok: true
              readonly sent: SentCommand<T['type'], K, T['commands'][K]>
              /** Empty if the handler decided nothing. */
              readonly events: readonly Message<T['events']>[]
              readonly state: T['state']
            }
          | (RejectedBy<T, K> & { readonly sent: SentCommand<T['type'], K, T['commands'][K]> })
      : never
    : never

/** The result of an external call. A call that throws is retried instead. */
export interface CallReply<K extends Calls, Q extends keyof K> {
  readonly ok: true
  readonly sent: { readonly call: Q } & DataOf<SchemaInput<K[Q]['input']>>
  readonly result: SchemaOutput<K[Q]['output']>
}

/** A command or a call that has failed `attempts` times. */
export interface Failed<Send> {
  readonly sent: Send
  readonly message: string
  /** Code of a `CqrsError`. */
  readonly code?: string
  readonly attempts: number
}

/** A timer that is due. */
export interface TimerInput<K extends string = string> {
  readonly name: K
  /** ISO 8601. */
  readonly dueAt: string
}

type Handler<S, I, R, Send> = (state: S, input: I, context: StepContext<Send>) => R | void | undefined
type CommandTypes<A> = A extends Aggregate<infer T> ? keyof T['commands'] & string : never

/** Functions by event type. */
export type EventHandlers<S, E extends { readonly type: string }, R, Send> = {
  readonly [K in E['type']]?: Handler<S, Extract<E, { readonly type: K }>, R, Send>
}
/** Functions by command type and name of a call. */
export type ReplyHandlers<S, C extends readonly AnyAggregate[], K extends Calls, R, Send> = {
  readonly [Q in CommandTypes<C[number]> | (keyof K & string)]?: Handler<
    S,
    Q extends keyof K ? CallReply<K, Q> : ReplyFrom<C[number], Q>,
    R,
    Send
  >
}
/** Functions by name of a timer. */
export type TimerHandlers<S, T extends string, R, Send> = { readonly [K in T]: Handler<S, TimerInput<K>, R, Send> }

/** Turns a handler whose step has an unknown field into an error at that handler. */
type Surplus<H> = {
  readonly [K in keyof H]: [SurplusOf<H[K]>] extends [never] ? unknown : `a step has no field "${SurplusOf<H[K]>}"`
}
type SurplusOf<F> = F extends (...args: never[]) => infer R
  ? R extends object
    ? Exclude<keyof R & string, 'state' | 'send' | 'instead' | 'timers' | 'done'>
    : never
  : never
type Unknown<H, Known> = { readonly [K in Exclude<keyof H, keyof Known>]: never }

/** A command or call of a process. */
export type SendOf<C extends readonly AnyAggregate[], K extends Calls> = SendTo<C[number]> | CallTo<K>

/** A process without its behavior. */
export interface ProcessDeclaration<
  N extends string,
  A extends readonly AnyAggregate[],
  C extends readonly AnyAggregate[],
  S,
  K extends Calls,
  T extends string,
> {
  /**
   * Adds the behavior: pure functions of state and input that return a `Step` or nothing. State and
   * input are frozen. The function of a reply may run several times for one command.
   *
   * @throws DefinitionError for a missing, misspelt or extra function. Also for a start that `on`
   * does not have, and for a call with the name of a command
   */
  implement<
    const O extends EventHandlers<S, EnvelopeOf<A[number]>, Step<S, SendOf<C, K>, T>, SendOf<C, K>>,
    const R extends ReplyHandlers<S, C, K, Step<S, SendOf<C, K>, T>, SendOf<C, K>>,
    const W extends TimerHandlers<S, T, Step<S, SendOf<C, K>, T>, SendOf<C, K>>,
  >(
    behavior: {
      /** Events that start an instance. Other events of an id without an instance are ignored. */
      readonly starts: readonly EnvelopeOf<A[number]>['type'][]
      /** Id of the instance that an event is for, or several ids; `[]` for none. Default: the aggregate's id. */
      readonly correlate?: {
        readonly [E in EnvelopeOf<A[number]>['type']]?: (
          event: Extract<EnvelopeOf<A[number]>, { readonly type: E }>,
        ) => string | readonly string[]
      }
      /** Decides on events. */
      readonly on: O & Unknown<O, EventHandlers<S, EnvelopeOf<A[number]>, never, never>> & Surplus<O>
      /** Decides on the outcomes of commands and calls. A rejection without a function here leaves the instance stuck. */
      readonly replies?: R & Unknown<R, ReplyHandlers<S, C, K, never, never>> & Surplus<R>
      /** Decides on a command or call that has failed `attempts` times. Without it, the instance is stuck. */
      readonly failed?: Handler<S, Failed<SendOf<C, K>>, Step<S, SendOf<C, K>, T>, SendOf<C, K>>
    } & ([T] extends [never] ? { readonly timers?: undefined } : { readonly timers: W & Surplus<W> }),
  ): [keyof K] extends [never] ? Process<N, S, SendOf<C, K>> : Callable<N, S, K, SendOf<C, K>>
}

/** The step of a process, for helper functions that return one: `StepOf<typeof declared>`. */
export type StepOf<D> =
  D extends ProcessDeclaration<string, readonly AnyAggregate[], infer C, infer S, infer K, infer T>
    ? Step<S, SendOf<C, K>, T>
    : never

/** A process, ready for `createApp`. */
export interface Process<N extends string = string, S = unknown, Q = unknown> {
  /** Name of the process. */
  readonly name: N
  /** Distinguishes it from a process whose calls have no functions yet. */
  readonly '~process': true
  /** For types only; absent at run time. */
  readonly '~state'?: S
  /** For types only; absent at run time. */
  readonly '~sends'?: Q
  /** @internal */
  readonly '~definition': object
}

/** A process with external calls that have no functions yet. */
export interface Callable<N extends string, S, K extends Calls, Q = unknown> {
  /** Name of the process. */
  readonly name: N
  /** For types only; absent at run time. */
  readonly '~state'?: S
  /** For types only; absent at run time. */
  readonly '~sends'?: Q
  /** @internal */
  readonly '~definition': object
  /**
   * Adds the functions of the calls. A function is called again after it fails, or after its process
   * dies in it. Pass `key` to the service: it is the same each time. The result is stored with the
   * step that follows; from then on the call is never made again.
   *
   * @throws DefinitionError for a missing, misspelt or extra function
   */
  with(
    calls: {
      readonly [Q in keyof K]: (
        input: SchemaOutput<K[Q]['input']>,
        context: CallContext,
      ) => Promise<SchemaInput<K[Q]['output']>> | SchemaInput<K[Q]['output']>
    },
  ): Process<N, S, Q>
}

/** Context of an external call. */
export interface CallContext {
  /** Idempotency key: the same for each attempt of this call, and for no other call. */
  readonly key: string
  /** Attempt of this call, starting at 1. Attempts whose process died are not counted. */
  readonly attempt: number
  /** Aborts at the time limit, and when the app closes or another process takes over. */
  readonly signal: AbortSignal
  /** `correlationId`, `causationId` and `process`, as a command of the process has them. */
  readonly metadata: Metadata
}
