import type { AnyAggregate, EventOf } from '../aggregate.ts'
import { type Duration, durationMs } from '../due/duration.ts'
import type { ReadonlyData } from '../message.ts'
import { anyProcessDefinitionOf } from '../processes/definition.ts'
import { checkName, checkOptions } from '../util/options.ts'
import { assertEqual, fail } from './assert.ts'
import { orders } from './process-orders.ts'
import { type ProcessInput, type ProcessScene, runScene } from './process-scene.ts'

type CommandIn<Q> = Q extends { readonly type: infer K extends string } ? K : never
type CallIn<Q> = Q extends { readonly call: infer K extends string } ? K : never

/**
 * An instance of a process after some inputs. Reusable: each method returns a new one.
 *
 * The inputs run when one of the `then…` is called.
 */
export interface GivenProcess<S, Q> {
  /** Adds events of an aggregate. Events that are not for this instance are ignored. */
  on<A extends AnyAggregate>(aggregate: A, id: string, events: readonly ReadonlyData<EventOf<A>>[]): GivenProcess<S, Q>
  /** Expects that this command is the first that waits, and accepts it with these events. Default: none. */
  accepted(
    command: CommandIn<Q>,
    events?: readonly { readonly type: string; readonly data?: unknown }[],
    state?: unknown,
  ): GivenProcess<S, Q>
  /** Expects that this command is the first that waits, and rejects it. */
  refused(command: CommandIn<Q>, reason: string, details?: unknown): GivenProcess<S, Q>
  /** Expects that this call is the first that waits, and returns its result. */
  answered(call: CallIn<Q>, result: unknown): GivenProcess<S, Q>
  /** Expects that this call is the first that waits, and begins it: `instead` keeps it. */
  begun(call: CallIn<Q>): GivenProcess<S, Q>
  /** Expects that this command or call is the first that waits, and lets it fail for good. */
  failed(sent: CommandIn<Q> | CallIn<Q>, message: string): GivenProcess<S, Q>
  /** Moves the clock forward. Timers that become due fire one after another. */
  after(duration: Duration): GivenProcess<S, Q>
  /** Expects exactly these commands and calls to wait, in this order. */
  thenSends(expected: readonly ReadonlyData<Q>[]): Promise<void>
  /** Expects exactly these timers, each with its time from now on. */
  thenTimers(expected: Readonly<Record<string, Duration>>): Promise<void>
  /** Expects the state of the instance. */
  thenState(expected: ReadonlyData<S>): Promise<void>
  /** Expects that the instance has ended with this outcome. */
  thenEnded(outcome: string): Promise<void>
  /** Expects that the instance is stuck, with a message that includes this text. */
  thenStuck(message: string): Promise<void>
  /**
   * Runs the events in every order that keeps the order inside each aggregate: for stores without a
   * global order. Each `then…` must hold for each order. Replies and timers keep their places.
   */
  inAnyOrder(): GivenProcess<S, Q>
}

/**
 * Tests a process without a store: given these events, replies and times, it sends that.
 *
 * States, steps and sends are checked as an app does. Works in any test runner.
 *
 * @throws DefinitionError for a value that is no process, an invalid id or a misspelt option
 *
 * @example
 * ```ts
 * import { defineAggregate, defineProcess, noData } from 'cqrs-es'
 * import { givenProcess } from 'cqrs-es/testing'
 *
 * const order = defineAggregate({
 *   type: 'order',
 *   events: { Placed: noData, Paid: noData },
 *   commands: { Cancel: noData },
 *   initialState: () => ({}),
 * }).implement({ handle: { Cancel: () => {} }, apply: { Placed: (state) => state, Paid: (state) => state } })
 *
 * const reminding = defineProcess({
 *   name: 'reminding',
 *   aggregates: [order],
 *   sends: [order],
 *   timers: ['unpaid'],
 *   initialState: () => ({}),
 *   from: 'beginning',
 * }).implement({
 *   starts: ['Placed'],
 *   on: { Placed: () => ({ timers: { unpaid: { in: '15m' } } }), Paid: () => ({ done: 'paid' }) },
 *   timers: { unpaid: (state, timer, { id }) => ({ send: [{ to: 'order', id, type: 'Cancel' }], done: 'unpaid' }) },
 * })
 *
 * const placed = givenProcess(reminding, 'o-1').on(order, 'o-1', [{ type: 'Placed' }])
 * await placed.thenTimers({ unpaid: '15m' })
 * await placed.on(order, 'o-1', [{ type: 'Paid' }]).thenEnded('paid')
 * await placed.after('15m').thenSends([{ to: 'order', id: 'o-1', type: 'Cancel' }])
 * ```
 */
export function givenProcess<S, Q>(
  process: { readonly name: string; readonly '~state'?: S; readonly '~sends'?: Q },
  id = 'test',
  options: { readonly now?: Date } = {},
): GivenProcess<S, Q> {
  const definition = anyProcessDefinitionOf('givenProcess: the first argument', process)
  checkName('givenProcess: the id', id)
  checkOptions('givenProcess', options, ['now'])
  const { now = new Date(Date.UTC(2000, 0, 1)) } = options
  return scene({ process: definition, id, now, inputs: [], isInAnyOrder: false }) as GivenProcess<S, Q>
}

type Scene = ProcessScene & { readonly isInAnyOrder: boolean }

function scene(given: Scene): GivenProcess<unknown, unknown> {
  const title = `The instance '${given.id}' of process '${given.process.name}'`
  const and = (input: ProcessInput) => scene({ ...given, inputs: [...given.inputs, input] })
  const check = async (test: (result: ReturnType<typeof runScene>) => void) => {
    if (!given.isInAnyOrder) return test(runScene(given))
    for (const { inputs, shown } of orders(given.inputs)) {
      try {
        test(runScene({ ...given, inputs }))
      } catch (error) {
        if (error instanceof Error) error.message = `In the order ${shown}: ${error.message}`
        throw error
      }
    }
  }
  return Object.freeze({
    on: (aggregate: AnyAggregate, id: string, events: readonly object[]) => and({ kind: 'events', aggregate, id, events }),
    accepted: (command: string, events: readonly object[] = [], state?: unknown) =>
      and({ kind: 'accepted', name: command, events, state }),
    refused: (command: string, reason: string, details?: unknown) => and({ kind: 'refused', name: command, reason, details }),
    answered: (call: string, result: unknown) => and({ kind: 'answered', name: call, result }),
    begun: (call: string) => and({ kind: 'begun', name: call }),
    failed: (sent: string, message: string) => and({ kind: 'failed', name: sent, message }),
    after: (duration: Duration) => and({ kind: 'after', duration }),
    inAnyOrder: () => scene({ ...given, isInAnyOrder: true }),
    thenSends: (expected: readonly unknown[]) => check(({ sends }) => assertEqual(`${title}: what it sends`, sends, expected)),
    thenTimers: (expected: object) =>
      check(({ timers }) => assertEqual(`${title}: its timers, in milliseconds`, timers, inMs(expected))),
    thenState: (expected: unknown) => check(({ state }) => assertEqual(`${title}: its state`, state, expected)),
    thenEnded: (outcome: string) =>
      check(({ ended }) => {
        if (ended === undefined) fail(`${title} was expected to end with '${outcome}', but it has not ended.`)
        assertEqual(`${title}: its outcome`, ended, outcome)
      }),
    thenStuck: (message: string) =>
      check(({ stuck }) => {
        if (stuck === undefined) fail(`${title} was expected to be stuck, but it is not.`)
        if (!stuck.includes(message)) fail(`${title} is stuck for another reason.`, stuck, message)
      }),
  }) as GivenProcess<unknown, unknown>
}

const inMs = (timers: object): object =>
  Object.fromEntries(Object.entries(timers).map(([name, text]) => [name, durationMs(text) ?? text]))
