import { AssertionError } from 'node:assert'
import type { EventEnvelope, Metadata } from '../event-envelope.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import { applyEvent } from '../execution/apply-event.ts'
import type { Core } from '../execution/core.ts'
import { decide } from '../execution/decide.ts'
import { rowsOf } from '../execution/extension.ts'
import type { Loaded } from '../execution/loaded.ts'
import { envelopesOf, type NewEvents, newEvents } from '../execution/new-events.ts'
import { parseCommand } from '../execution/parse-command.ts'
import { Refused } from '../execution/refused.ts'
import { platformRuntime } from '../runtime.ts'
import { isoTexts } from '../util/iso-text.ts'
import { deepFreeze, jsonProblem, toJson } from '../util/json.ts'
import { refusing } from '../util/refusing.ts'
import { foldView, idsOf, indexValues, storableView } from '../views/fold.ts'
import type { ViewDefinition } from '../views/view-definition.ts'
import { fail } from './assert.ts'

interface SceneOptions {
  readonly services?: unknown
  readonly aggregateId?: string
  readonly metadata?: Metadata
  readonly now?: Date
}

/** One aggregate with the setup of a test. */
export interface Scene {
  readonly definition: AggregateDefinition
  readonly options: SceneOptions
  readonly aggregateId: string
  readonly now: Date
  readonly metadata: Metadata
  /** The events as the test passed them. */
  readonly events: readonly unknown[]
  readonly given: readonly EventEnvelope[]
}

/** @throws InvalidEventError for an event that does not fit its schema */
export function sceneOf(definition: AggregateDefinition, events: readonly unknown[], options: SceneOptions): Scene {
  const { aggregateId = 'test', now = new Date(Date.UTC(2000, 0, 1)) } = options
  const metadata = deepFreeze(toJson(options.metadata ?? {})) as Metadata
  const context = { aggregateId, metadata, commitId: 'given', recordedAt: now.toISOString() }
  const start = { state: definition.initialState(), sequence: 0 }
  const by = () => `given(…) of ${definition.type} '${aggregateId}' has`
  const added = newEvents(definition, context, by, start, events)
  return { definition, options, aggregateId, now, metadata, events, given: envelopesOf(added) }
}

/** The outcome of a command. */
export type Outcome =
  | {
      readonly ok: true
      readonly events: readonly object[]
      readonly envelopes: readonly EventEnvelope[]
      readonly state: unknown
    }
  | { readonly ok: false; readonly reason: string; readonly details: unknown }

/** Decides a command on the scene's state, like `execute`, but stores nothing. */
export async function runCommand(scene: Scene, command: { readonly type: string; readonly data?: unknown }): Promise<Outcome> {
  const { definition, aggregateId, metadata, now, given, options } = scene
  const data = await parseCommand(definition, { aggregateId, command })
  const runtime = { ...platformRuntime, now: () => now, randomUUID: () => 'test' }
  const wired = { definition, services: options.services ?? (definition.needsServices ? noServices(command.type) : undefined) }
  const base = { state: stateAfter(scene, given), sequence: given.length }
  const call = { aggregateId, command, metadata, signal: undefined }
  const decision = await decide(
    { runtime, isoText: isoTexts(), neverAborts: new AbortController().signal },
    wired,
    call,
    data,
    'test',
    base,
  )
  if (decision.kind === 'rejected')
    return { ok: false, reason: decision.rejection['~rejected'], details: decision.rejection.details }
  if (decision.kind === 'events') checkRules(definition, aggregateId, decision, base)
  const envelopes = decision.kind === 'events' ? envelopesOf(decision) : []
  const events = envelopes.map(({ type, data }) => (data === undefined ? { type } : { type, data }))
  return { ok: true, events, envelopes, state: stateAfter(scene, [...given, ...envelopes]) }
}

/** Evaluates the functions of `unique` and `deadlines`, as `execute` does. @throws ApplyError */
function checkRules(definition: AggregateDefinition, aggregateId: string, added: NewEvents, base: Loaded): void {
  try {
    rowsOf({} as Core, definition, undefined)?.(aggregateId, added, base, undefined)
  } catch (error) {
    throw error instanceof Refused && error.decision.kind === 'failed' ? error.decision.error : error
  }
}

/**
 * Returns the state after events, and checks that each step is JSON.
 *
 * @throws ApplyError, AssertionError
 */
export function stateAfter({ definition }: Scene, events: readonly EventEnvelope[]): unknown {
  return events.reduce((state, event) => {
    const next = applyEvent(definition, state, event)
    checkJson(`apply.${event.type} of ${definition.type} made a state that is not JSON`, next)
    const problem = definition.stateProblem(next)
    if (problem !== undefined)
      fail(`apply.${event.type} of ${definition.type} made a state that does not fit stateSchema: ${problem}.`)
    return next
  }, definition.initialState())
}

/** Returns the row after events, `undefined` without a row. @throws ApplyError, AssertionError */
export function viewAfter(view: ViewDefinition, events: readonly EventEnvelope[], id: string): unknown {
  const row = events.reduce<unknown>((current, event) => {
    const followed = view.aggregateTypes.includes(event.aggregateType) && view.update.has(event.type)
    if (!followed || !idsOf(view, event).includes(id)) return current
    const next = storableView(view, id, foldView(view, current, event), event)
    indexValues(view, id, next, event)
    return next
  }, null)
  return row ?? undefined
}

/** Fails if no aggregate with events is followed, because the test could then never fail. */
export function assertFollows(what: string, followed: readonly string[], aggregateTypes: readonly string[]): void {
  if (aggregateTypes.length > 0 && !aggregateTypes.some((type) => followed.includes(type)))
    fail(
      `${what} does not follow the aggregate ${aggregateTypes.map((type) => `'${type}'`).join(', ')} but ${followed.join(', ')}.`,
    )
}

function checkJson(problem: string, value: unknown): void {
  try {
    toJson(value)
  } catch (error) {
    throw refusing(new AssertionError({ message: `${problem}: ${jsonProblem(error)}.` }), value)
  }
}

/** Fails with a clear message when a handler uses services that the test did not pass. */
const noServices = (command: string): unknown =>
  new Proxy(
    {},
    {
      get: (_, name) =>
        fail(
          `${command} uses the service '${String(name)}', but the test passes none. Use given(aggregate, events, { services }).`,
        ),
    },
  )
