import { isCqrsError, messageOf } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import { deepFreeze, isObject, toJson } from '../util/json.ts'
import { isThenable, refusing } from '../util/refusing.ts'
import type { ProcessDefinition, StepHandler } from './definition.ts'
import type { InstanceRow, PendingSend, Stuck } from './instance-row.ts'
import { type StepInput, takeStep, UnfitStep } from './take-step.ts'

/** The function of a process has failed, or cannot be called. */
export class StepFailed extends Error {}

/** Returns a new instance, started by an event. */
export function newInstance(process: ProcessDefinition, event: EventEnvelope, now: string): InstanceRow {
  const { correlationId } = event.metadata
  return {
    state: process.initialState(),
    stateVersion: process.stateVersion,
    n: 1,
    todo: [],
    timers: {},
    behind: [],
    by: '',
    correlationId: typeof correlationId === 'string' ? correlationId : event.id,
    startedBy: event.id,
    startedAt: event.recordedAt,
    changedAt: now,
  }
}

/** Decides on an event. @throws StepFailed */
export function onEvent(process: ProcessDefinition, id: string, row: InstanceRow, event: EventEnvelope): InstanceRow {
  const handler = process.on.get(event.type)
  if (handler === undefined) return row
  const input = { at: Date.parse(event.recordedAt), because: event.id, cause: event.id }
  return decideStep(process, id, row, `on.${event.type}`, handler, event, input)
}

/** The outcome of a command or call, without `sent`. */
export type ReplyInput =
  | { readonly ok: true; readonly events: readonly EventEnvelope[]; readonly state: unknown }
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly reason: string; readonly details: unknown }

/**
 * Decides on the reply to the first send. An instance that has ended receives none.
 *
 * @throws StepFailed
 */
export function onReply(process: ProcessDefinition, id: string, row: InstanceRow, reply: ReplyInput, now: number): InstanceRow {
  const [send, ...todo] = row.todo as [PendingSend, ...PendingSend[]]
  const { stuckSend: _, ...rest } = row
  const left: InstanceRow = { ...rest, todo }
  const name = send.call ?? (send.type as string)
  const handler = process.replies.get(name)
  const isRefusal = !reply.ok
  if (isRefusal && (handler === undefined || row.ended !== undefined)) throw refused(send, reply)
  if (handler === undefined || row.ended !== undefined) return left
  const input = { at: now, because: String(send.n), cause: lastEventOf(reply) ?? send.cause }
  return decideStep(process, id, left, `replies.${name}`, handler, { ...replyOf(reply), sent: sentOf(send) }, input)
}

/** Decides on the first send, which has failed for good. @throws StepFailed */
export function onFailed(process: ProcessDefinition, id: string, row: InstanceRow, failed: Stuck, now: number): InstanceRow {
  const [send, ...todo] = row.todo as [PendingSend, ...PendingSend[]]
  const { stuckSend: _, ...rest } = row
  const { message, code } = failed
  const value = { sent: sentOf(send), message, ...(code === undefined ? {} : { code }), attempts: send.tries }
  const input = { at: now, because: String(send.n), cause: send.cause }
  return decideStep(process, id, { ...rest, todo }, 'failed', process.failed as StepHandler, value, input)
}

/** Decides on a timer, which is set no longer. @throws StepFailed */
export function onTimer(process: ProcessDefinition, id: string, row: InstanceRow, name: string): InstanceRow {
  const { [name]: timer, ...timers } = row.timers
  const handler = process.timers.get(name)
  if (timer === undefined) return row
  if (handler === undefined)
    throw new StepFailed(`This program has no timer '${name}'. Deploy a program that has it, then call resume().`)
  const input = { at: Date.parse(timer.at), because: `timer ${name}`, cause: timer.cause }
  return decideStep(process, id, { ...row, timers }, `timers.${name}`, handler, { name, dueAt: timer.at }, input)
}

/** Returns the send as the process has returned it. */
export const sentOf = ({ to, id, type, call, data }: PendingSend): object => ({
  ...(call === undefined ? { to, id, type } : { call }),
  ...(data === undefined ? {} : { data }),
})

/** Returns the state in the version of this program. @throws StepFailed */
function stateOf({ name, stateVersion, upgrade }: ProcessDefinition, row: InstanceRow): unknown {
  if (row.stateVersion === stateVersion) return row.state
  if (upgrade === undefined)
    throw new StepFailed(
      `Its state has the version ${row.stateVersion}, and process '${name}' has the version ${stateVersion} without upgrade. Deploy a program with upgrade, then call resume().`,
    )
  try {
    const state = upgrade(deepFreeze(row.state), row.stateVersion)
    if (isThenable(state)) throw refusing(new Error('it returned a promise'), state)
    return toJson(state)
  } catch (error) {
    throw new StepFailed(ended(`upgrade from version ${row.stateVersion} failed: ${messageOf(error)}`), { cause: error })
  }
}

function decideStep(
  process: ProcessDefinition,
  id: string,
  row: InstanceRow,
  part: string,
  handler: StepHandler,
  value: unknown,
  input: StepInput,
): InstanceRow {
  const current: InstanceRow = { ...row, state: deepFreeze(stateOf(process, row)), stateVersion: process.stateVersion }
  const known = new Map(row.todo.map((send) => [deepFreeze({ ...sentOf(send), begun: send.begun === true }), send] as const))
  const context = Object.freeze({
    id,
    at: new Date(input.at),
    correlationId: row.correlationId,
    waiting: Object.freeze([...known.keys()]),
  })
  let step: unknown
  try {
    step = handler(current.state, frozen(value), context)
  } catch (error) {
    throw new StepFailed(ended(messageOf(error)), { cause: error })
  }
  try {
    return takeStep(process, current, step, input, known as ReadonlyMap<unknown, PendingSend>)
  } catch (error) {
    if (!(error instanceof UnfitStep)) throw error
    throw new StepFailed(`${part} of process '${process.name}' ${error.message}`, { cause: error })
  }
}

const frozen = (value: unknown): unknown => (isObject(value) ? Object.freeze(value) : value)

const ended = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`)

const lastEventOf = (reply: ReplyInput): string | undefined => ('events' in reply ? reply.events.at(-1)?.id : undefined)

/** Returns a reply in the form that handlers receive. */
function replyOf(reply: ReplyInput): object {
  if (!('events' in reply)) return { ...reply }
  const events = reply.events.map(({ type, data }) => (data === undefined ? { type } : { type, data }))
  return { ok: true, events: deepFreeze(events), state: deepFreeze(reply.state) }
}

/** A refusal that the process does not handle. */
export class Refused extends StepFailed {}

function refused(send: PendingSend, { reason, details }: Extract<ReplyInput, { ok: false }>): Refused {
  const shown = details === undefined ? '' : ` ${shownJson(details)}`
  return new Refused(
    `${send.type} on ${send.to} '${send.id}' was rejected: ${reason}${shown}, and replies has no function for it.`,
  )
}

/** Details are any value, also one that is not JSON. */
function shownJson(value: unknown): string {
  try {
    return JSON.stringify(toJson(value))
  } catch {
    return `(${jsonProblemOf(value)})`
  }
}

const jsonProblemOf = (value: unknown): string => (isObject(value) ? 'details that are not JSON' : String(value))

/** Returns why an instance is stuck, for its row. */
export function stuckAt(at: string, error: unknown, now: string, storable: (text: string) => string): Stuck {
  const cause = error instanceof StepFailed ? error.cause : error
  const code = error instanceof Refused ? 'REFUSED' : isCqrsError(cause) ? cause.code : undefined
  return { at, message: storable(messageOf(error)), ...(code === undefined ? {} : { code }), since: now }
}
