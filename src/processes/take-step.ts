import { type Due, durationMs, instantMs, instantOf } from '../due/duration.ts'
import { isObject, jsonProblem, NotJson, toJson } from '../util/json.ts'
import { kindOf, nameProblem } from '../util/names.ts'
import { unknownKey } from '../util/options.ts'
import { isThenable, refusing } from '../util/refusing.ts'
import type { ProcessDefinition } from './definition.ts'
import type { InstanceRow, PendingSend, SetTimer } from './instance-row.ts'

/** The input of a step. */
export interface StepInput {
  /** Milliseconds since 1970, from which `{ in }` counts. */
  readonly at: number
  readonly because: string
  readonly cause: string
}

/** A step that cannot be taken. The message is a sentence without its subject. */
export class UnfitStep extends Error {}

const fields = ['state', 'send', 'instead', 'timers', 'done']
const mostSends = 1_000
const mostBytes = 256 * 1_024
const longestOutcome = 1_000

/**
 * Returns the instance after a step. `known`: the sends that the handler saw as waiting.
 *
 * @throws UnfitStep
 */
export function takeStep(
  process: ProcessDefinition,
  row: InstanceRow,
  step: unknown,
  input: StepInput,
  known: ReadonlyMap<unknown, PendingSend> = new Map(),
): InstanceRow {
  if (step === undefined) return row
  const { state, send, instead, timers, done } = checkedStep(step)
  const next = nextSends(process, row, send, instead, input, known)
  const { stuckSend, ...rest } = row
  const taken: InstanceRow = {
    ...rest,
    ...next,
    ...(state === undefined ? {} : { state: jsonOf('state', state) }),
    timers: done === undefined ? nextTimers(process, row.timers, timers, input) : {},
    ...(done === undefined ? {} : { ended: done }),
    ...(stuckSend === undefined || instead !== undefined ? {} : { stuckSend }),
  }
  checkSize(taken)
  return taken
}

interface CheckedStep {
  readonly state?: unknown
  readonly send?: readonly unknown[]
  readonly instead?: readonly unknown[]
  readonly timers?: object
  readonly done?: string
}

function checkedStep(step: unknown): CheckedStep {
  if (isThenable(step)) throw refusing(new UnfitStep('returned a promise; it must return its step at once.'), step)
  if (!isObject(step) || Array.isArray(step)) throw new UnfitStep(`returned ${kindOf(step)}; it must return a step or nothing.`)
  const unknown = unknownKey(step, fields)
  if (unknown !== undefined)
    throw new UnfitStep(`returned a step with the unknown field '${unknown}'. Its fields: ${fields.join(', ')}.`)
  const { send, instead, timers, done } = step as CheckedStep
  if (send !== undefined && instead !== undefined)
    throw new UnfitStep('returned both send and instead. Put all commands and calls into one of them.')
  for (const [name, list] of Object.entries({ send, instead }))
    if (list !== undefined && !Array.isArray(list)) throw new UnfitStep(`returned a step whose ${name} is not a list.`)
  if (timers !== undefined && !isObject(timers)) throw new UnfitStep('returned a step whose timers is not an object.')
  if (done !== undefined && (typeof done !== 'string' || done === '' || done.length > longestOutcome))
    throw new UnfitStep(`returned a step whose done is not a text of 1–${longestOutcome} characters.`)
  return step as CheckedStep
}

function jsonOf(what: string, value: unknown): unknown {
  try {
    if (value === undefined) throw new NotJson('undefined', [])
    return toJson(value)
  } catch (error) {
    throw refusing(new UnfitStep(`returned a step whose ${what} must be JSON, but ${jsonProblem(error)}.`), value)
  }
}

/** Returns what waits after the step. A call that may have been made stays, since its reply comes. */
function nextSends(
  process: ProcessDefinition,
  { todo, n: first, stuckSend }: InstanceRow,
  send: readonly unknown[] | undefined,
  instead: readonly unknown[] | undefined,
  input: StepInput,
  known: ReadonlyMap<unknown, PendingSend>,
): Pick<InstanceRow, 'todo' | 'n'> {
  if (send === undefined && instead === undefined) return { todo, n: first }
  const kept = instead === undefined ? todo : todo.filter(({ begun }) => begun && stuckSend === undefined)
  let n = first
  const added = (send ?? instead ?? []).flatMap((one): PendingSend[] => {
    const before = instead === undefined ? undefined : known.get(one)
    if (before !== undefined) return kept.includes(before) ? [] : [afresh(before)]
    const { begun: _, ...content } = isObject(one) ? (one as Partial<PendingSend>) : {}
    const checked = checkedSend(process, isObject(one) ? content : one)
    return [{ n: n++, ...checked, because: input.because, cause: input.cause, tries: 0 }]
  })
  if (kept.length + added.length > mostSends)
    throw new UnfitStep(
      `returned a step after which ${kept.length + added.length} commands and calls wait; the limit is ${mostSends}. Use an instance for each part.`,
    )
  return { todo: [...kept, ...added], n }
}

const afresh = ({ notBefore: _, error: __, ...send }: PendingSend): PendingSend => ({ ...send, tries: 0 })

type SendContent = Pick<PendingSend, 'to' | 'id' | 'type' | 'call' | 'data'>

function checkedSend(process: ProcessDefinition, send: unknown): SendContent {
  if (!isObject(send)) throw new UnfitStep(`returned a step that sends ${kindOf(send)}.`)
  const { to, id, type, call, data } = send as SendContent
  const isCall = call !== undefined
  const surplus = unknownKey(send, isCall ? ['call', 'data'] : ['to', 'id', 'type', 'data'])
  if (surplus !== undefined) throw new UnfitStep(`returned a step that sends something with the unknown field '${surplus}'.`)
  const content = data === undefined ? {} : { data: jsonOf(`data of ${String(call ?? type)}`, data) }
  if (isCall) {
    if (!process.calls.has(call)) throw new UnfitStep(`asks for the unknown call '${String(call)}'. Declare it in calls.`)
    return { call, ...content }
  }
  const commands = process.sends.get(to as string)
  if (commands === undefined) throw new UnfitStep(`sends a command to '${String(to)}', which is not among sends.`)
  if (!commands.has(type as string)) throw new UnfitStep(`sends '${String(type)}', but ${to} has no such command.`)
  const problem = nameProblem(id)
  if (problem !== undefined) throw new UnfitStep(`sends ${type} to ${to} with an id that ${problem}.`)
  return { to: to as string, id: id as string, type: type as string, ...content }
}

function nextTimers(
  process: ProcessDefinition,
  timers: InstanceRow['timers'],
  changes: object | undefined,
  { at, cause }: StepInput,
): InstanceRow['timers'] {
  if (changes === undefined) return timers
  const next = new Map<string, SetTimer>(Object.entries(timers))
  for (const [name, due] of Object.entries(changes)) {
    if (!process.timers.has(name)) throw new UnfitStep(`sets the unknown timer '${name}'. Declare it in timers.`)
    if (due === null) next.delete(name)
    else if (due !== undefined) next.set(name, { at: dueTime(name, due, at), cause })
  }
  return Object.fromEntries(next)
}

function dueTime(name: string, due: unknown, from: number): string {
  const { in: span, at } = (isObject(due) ? due : {}) as { readonly in?: unknown; readonly at?: unknown }
  if ((span === undefined) === (at === undefined) || unknownKey(due as Due, ['in', 'at']) !== undefined)
    throw new UnfitStep(`sets the timer '${name}' without { in } or { at }, or with more than one of them.`)
  const ms = span === undefined ? undefined : durationMs(span)
  if (span !== undefined && ms === undefined)
    throw new UnfitStep(`sets the timer '${name}' to ${shown(span)}, which is no duration, such as '90s', '15m', '24h' or '30d'.`)
  const time = ms === undefined ? instantMs(at) : from + ms
  const text = instantOf(time)
  if (text === undefined)
    throw new UnfitStep(`sets the timer '${name}' to a time that cannot be read, or is not in the years 0–9999.`)
  return text
}

const shown = (value: unknown): string => (typeof value === 'string' ? `'${value}'` : kindOf(value))

function checkSize(row: InstanceRow): void {
  const text = JSON.stringify(row)
  if (text.length * 3 <= mostBytes) return
  const bytes = new TextEncoder().encode(text).length
  if (bytes > mostBytes)
    throw new UnfitStep(
      `returned a step after which the instance has ${bytes.toLocaleString('en')} bytes; the limit is ${mostBytes.toLocaleString('en')}. Keep large data in an aggregate.`,
    )
}
