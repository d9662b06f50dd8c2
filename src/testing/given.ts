import type { AnyAggregate, EventOf, TypesOf } from '../aggregate.ts'
import { messageOf } from '../errors.ts'
import type { EventEnvelope, Metadata } from '../event-envelope.ts'
import { definitionOf } from '../execution/aggregate-definition.ts'
import type { DataOf, ReadonlyData } from '../message.ts'
import type { Rejection } from '../reject.ts'
import { difference } from '../util/json.ts'
import { checkOptions } from '../util/options.ts'
import type { View } from '../views/view.ts'
import { viewDefinitionOf } from '../views/view-definition.ts'
import { assertEqual, fail, shown } from './assert.ts'
import { assertFollows, type Outcome, runCommand, type Scene, sceneOf, stateAfter, viewAfter } from './scene.ts'

/** Options of `given`. */
export interface GivenOptions<A> {
  /** Services of the handlers; needed only by a handler that uses them. */
  readonly services?: TypesOf<A>['services']
  /** Id of the aggregate. Default `'test'`. */
  readonly aggregateId?: string
  /** Metadata of the given events and of the command. Default `{}`. */
  readonly metadata?: Metadata
  /** The frozen clock. Default `2000-01-01T00:00:00.000Z`. */
  readonly now?: Date
}

/** The content of a view. */
export type ViewOf<V> = V extends View<infer T> ? T['view'] : never

/** An aggregate with given events. Reusable: each step starts from the same events. */
export interface Given<A extends AnyAggregate> {
  /** Returns the same aggregate with more events. */
  and(events: readonly ReadonlyData<EventOf<A>>[]): Given<A>
  /** Prepares a command, which runs when one of the `then…` is called. */
  when<K extends keyof TypesOf<A>['commands'] & string>(
    command: { readonly type: K } & DataOf<TypesOf<A>['commands'][K]>,
  ): When<A, K>
  /** Expects the state after the events. */
  thenState(expected: ReadonlyData<TypesOf<A>['state']>): Promise<void>
  /** Expects the view after the events, of the aggregate's id or of `id`. `undefined`: no view. */
  thenView<V extends View>(
    view: V,
    expected: ReadonlyData<ViewOf<V>> | undefined,
    options?: { readonly id?: string },
  ): Promise<void>
}

/** The result of a command, with its types. */
export type WhenResult<A, K> =
  | { readonly ok: true; readonly events: readonly EventOf<A>[]; readonly state: TypesOf<A>['state'] }
  | (RejectionAt<A, K> extends infer R
      ? R extends Rejection<infer Q, infer D>
        ? { readonly ok: false; readonly reason: Q; readonly details: D }
        : never
      : never)

type RejectionAt<A, K> = K extends keyof TypesOf<A>['rejections'] ? TypesOf<A>['rejections'][K] : never
type DetailsOf<J, R> = J extends Rejection<infer Q, infer D> ? (Q extends R ? D : never) : never
type ReasonOf<J> = J extends Rejection<infer Q> ? Q : never

/**
 * A prepared command. Each `then…` runs it and fails with the first difference.
 *
 * The failure is an `AssertionError`. Errors of the command itself (a `ValidationError`, an
 * exception of the handler) pass through, except in `thenThrows`, which expects one.
 */
export interface When<A extends AnyAggregate, K> {
  /** Expects exactly these events, in this order. */
  thenEvents(expected: readonly ReadonlyData<EventOf<A>>[]): Promise<void>
  /** Expects these events among others, in any order. An event listed twice must occur twice. */
  thenIncludes(expected: readonly ReadonlyData<EventOf<A>>[]): Promise<void>
  /** Checks the events by your own function, which fails if it throws or returns `false`. */
  thenEventsMatching(check: (events: readonly EventOf<A>[]) => unknown): Promise<void>
  /** Expects that the command is accepted without events. */
  thenNothing(): Promise<void>
  /** Expects a rejection for this reason and, if given, with these details. */
  thenRejected<R extends ReasonOf<RejectionAt<A, K>>>(
    reason: R,
    details?: ReadonlyData<DetailsOf<RejectionAt<A, K>, R>>,
  ): Promise<void>
  /**
   * Expects an error: an exception of the handler, or a `ValidationError`. Default: any error.
   *
   * Pass a part of the message, or a check of the error that fails if it throws or returns `false`.
   */
  thenThrows(expected?: string | ((error: unknown) => unknown)): Promise<void>
  /** Expects the state after the decided events. */
  thenState(expected: ReadonlyData<TypesOf<A>['state']>): Promise<void>
  /**
   * Expects the view after the decided events, of the aggregate's id or of `id`. `undefined`: no
   * view.
   */
  thenView<V extends View>(
    view: V,
    expected: ReadonlyData<ViewOf<V>> | undefined,
    options?: { readonly id?: string },
  ): Promise<void>
  /** Returns the result for checks of your own. */
  inspect(): Promise<WhenResult<A, K>>
}

/**
 * Tests an aggregate without a store: given these events, when this command runs, then that
 * happens.
 *
 * State and events are frozen and checked to be JSON. An `apply` that changes its input, or a state
 * that no snapshot could hold, therefore fails the test. Works in any test runner.
 *
 * @throws InvalidEventError when a given event does not fit its schema. DefinitionError for a
 * misspelt option
 *
 * @example
 * ```ts
 * import { defineAggregate, reject, typed } from 'cqrs-es'
 * import { given } from 'cqrs-es/testing'
 *
 * const counter = defineAggregate({
 *   type: 'counter',
 *   events: { Counted: typed<{ by: number }>() },
 *   commands: { Count: typed<{ by: number }>() },
 *   initialState: () => ({ total: 0 }),
 * }).implement({
 *   handle: { Count: (state, { by }) => (state.total + by > 10 ? reject('too-much') : { type: 'Counted', data: { by } }) },
 *   apply: { Counted: (state, { by }) => ({ total: state.total + by }) },
 * })
 *
 * const nine = given(counter, [{ type: 'Counted', data: { by: 9 } }])
 * await nine.when({ type: 'Count', data: { by: 1 } }).thenEvents([{ type: 'Counted', data: { by: 1 } }])
 * await nine.when({ type: 'Count', data: { by: 2 } }).thenRejected('too-much')
 * ```
 */
export function given<A extends AnyAggregate>(
  aggregate: A,
  events: readonly ReadonlyData<EventOf<A>>[] = [],
  options: GivenOptions<A> = {},
): Given<A> {
  const definition = definitionOf('given: the first argument', aggregate)
  checkOptions('given', options, ['services', 'aggregateId', 'metadata', 'now'])
  return givenScene(sceneOf(definition, events, options)) as unknown as Given<A>
}

function givenScene(scene: Scene) {
  return Object.freeze({
    and: (events: readonly unknown[]) => givenScene(sceneOf(scene.definition, [...scene.events, ...events], scene.options)),
    when: (command: { readonly type: string; readonly data?: unknown }) => whenScene(scene, command),
    thenState: async (expected: unknown) => assertEqual('The state', stateAfter(scene, scene.given), expected),
    thenView: async (view: unknown, expected: unknown, options?: { readonly id?: string }) =>
      thenView(scene, scene.given, view, expected, options),
  })
}

function whenScene(scene: Scene, command: { readonly type: string; readonly data?: unknown }) {
  const run = () => runCommand(scene, command)
  const accepted = async () => {
    const outcome = await run()
    return outcome.ok ? outcome : fail(`${command.type} ${cameTo(outcome)}.`)
  }
  return Object.freeze({
    thenEvents: async (expected: readonly unknown[]) =>
      assertEqual(`Events of ${command.type}: the decision`, (await accepted()).events, expected),
    thenIncludes: async (expected: readonly unknown[]) => thenIncludes(command.type, (await accepted()).events, expected),
    thenEventsMatching: async (check: (events: readonly unknown[]) => unknown) => {
      const { events } = await accepted()
      if ((await check(events)) === false) fail(`Events of ${command.type} do not match: ${shown(events)}`)
    },
    thenNothing: async () => assertEqual(`Events of ${command.type}: the decision`, (await accepted()).events, []),
    thenRejected: async (reason: string, ...details: unknown[]) =>
      thenRejected(scene, command.type, await run(), reason, details),
    thenThrows: async (expected?: string | ((error: unknown) => unknown)) => {
      const outcome = await run().catch((error: unknown) => ({ error }))
      if ('error' in outcome) return thenThrows(command.type, outcome.error, expected)
      const wanted = typeof expected === 'string' ? ` (${expected})` : ''
      fail(`${command.type} was expected to throw${wanted}, but ${cameTo(outcome)}.`)
    },
    thenState: async (expected: unknown) => assertEqual(`The state after ${command.type}`, (await accepted()).state, expected),
    thenView: async (view: unknown, expected: unknown, options?: { readonly id?: string }) => {
      const { envelopes } = await accepted()
      thenView(scene, [...scene.given, ...envelopes], view, expected, options)
    },
    inspect: async () => {
      const outcome = await run()
      return outcome.ok ? { ok: true, events: outcome.events, state: outcome.state } : outcome
    },
  })
}

function thenIncludes(command: string, events: readonly unknown[], expected: readonly unknown[]): void {
  const left = [...events]
  for (const wanted of expected) {
    const found = left.findIndex((event) => difference(event, wanted) === undefined)
    if (found === -1) fail(`Events of ${command} lack ${shown(wanted)}.`, events, expected)
    left.splice(found, 1)
  }
}

async function thenThrows(command: string, error: unknown, expected?: string | ((error: unknown) => unknown)): Promise<void> {
  const said = messageOf(error)
  if (typeof expected === 'string' && !said.includes(expected))
    fail(`The error of ${command} differs.\n  expected: a message with ${shown(expected)}\n  actual:   ${shown(said)}`)
  if (typeof expected === 'function' && (await expected(error)) === false) fail(`The error of ${command} does not match: ${said}`)
}

const cameTo = (outcome: Outcome): string =>
  outcome.ok
    ? `was accepted with ${outcome.events.length === 0 ? 'no events' : shown(outcome.events)}`
    : `was rejected: ${outcome.reason}${outcome.details === undefined ? '' : ` ${shown(outcome.details)}`}`

function thenRejected(
  { definition }: Scene,
  command: string,
  outcome: Outcome,
  reason: string,
  details: readonly unknown[],
): void {
  if (outcome.ok && reason === 'taken' && definition.rules.some(({ kind }) => kind === 'unique'))
    fail('given(…) knows one aggregate, so no unique value is ever taken. Test it with createApp and memoryStore().')
  if (outcome.ok) fail(`${command} was expected to be rejected (${reason}), but ${cameTo(outcome)}.`)
  assertEqual(`The reason why ${command} was rejected`, outcome.reason, reason)
  if (details.length > 0) assertEqual(`The details of the rejection ${reason}`, outcome.details, details[0])
}

function thenView(
  scene: Scene,
  events: readonly EventEnvelope[],
  view: unknown,
  expected: unknown,
  { id = scene.aggregateId }: { readonly id?: string } = {},
): void {
  const definition = viewDefinitionOf('thenView: the first argument', view)
  assertFollows(`The view '${definition.name}'`, definition.aggregateTypes, [scene.definition.type])
  assertEqual(`The view '${definition.name}' of '${id}'`, viewAfter(definition, events, id), expected)
}
