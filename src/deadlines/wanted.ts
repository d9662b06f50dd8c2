import { instantMs, instantOf } from '../due/duration.ts'
import type { Loaded } from '../execution/loaded.ts'
import type { StateFunction } from '../execution/state-rules.ts'
import { called, type Subject } from '../rules/own-rows.ts'
import { difference, isObject, jsonProblem, toJson } from '../util/json.ts'
import type { Deadlines } from './deadline-row.ts'

/** The deadlines that a state gives, by command type. */
export type Wanted = Readonly<Record<string, { readonly at: string; readonly data?: unknown }>>

/** @throws ApplyError */
export function wantedOf(
  subject: Subject,
  rules: ReadonlyMap<string, StateFunction>,
  at: Pick<Loaded, 'state' | 'sequence'>,
): Wanted {
  const found = [...rules].map(([command, call]) => [command, called(subject, `deadlines.${command}`, at, call, timeOf)] as const)
  return Object.fromEntries(found.filter(([, time]) => time !== undefined)) as Wanted
}

function timeOf(given: unknown): Wanted[string] | undefined {
  if (given === undefined || given === null) return undefined
  const isPlain = typeof given === 'string' || given instanceof Date
  const { at, data } = (isPlain || !isObject(given) ? { at: given } : given) as { at?: unknown; data?: unknown }
  const text = instantOf(instantMs(at))
  if (text === undefined)
    throw new TypeError(
      `It returned ${shown(at)}, which is no time. Return a Date or ISO 8601 text in the years 0–9999, or { at, data }.`,
    )
  return data === undefined ? { at: text } : { at: text, data: jsonOf(data) }
}

const shown = (value: unknown): string => (typeof value === 'string' ? `'${value.slice(0, 40)}'` : String(value))

function jsonOf(data: unknown): unknown {
  try {
    return toJson(data)
  } catch (error) {
    throw new TypeError(`Its data must be JSON, but ${jsonProblem(error)}.`, { cause: error })
  }
}

/**
 * Returns the deadlines after a change of the state. One whose time stays keeps its progress.
 * `settled`: the command that was just stored or rejected.
 */
export function nextDeadlines(before: Deadlines, wanted: Wanted, settled?: string): Deadlines {
  const next = Object.entries(wanted).map(([command, { at, data }]) => {
    const known = before[command]
    const time = data === undefined ? { at } : { at, data }
    if (known?.at !== at) return [command, { ...time, tries: 0 }] as const
    if (command === settled || known.done) return [command, { ...time, tries: 0, done: true as const }] as const
    const { data: _, ...progress } = known
    return [command, { ...progress, ...time }] as const
  })
  return Object.fromEntries(next)
}

export const isSame = (one: Wanted, other: Wanted): boolean => difference(one, other) === undefined
