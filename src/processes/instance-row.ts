import { dueAtOnce, waitsForEvents } from '../due/due-rows.ts'
import { dueIndex, shardOf } from '../due/shards.ts'
import type { CqrsErrorCode } from '../errors.ts'
import { InternalRows } from '../store/internal-rows.ts'

/** A command or a call that is not done. */
export interface PendingSend {
  /** Number of the send in its instance. */
  readonly n: number
  /** Type of the aggregate; absent for a call. */
  readonly to?: string
  readonly id?: string
  readonly type?: string
  /** Name of the call; absent for a command. */
  readonly call?: string
  readonly data?: unknown
  /** Id of an event, `timer <name>`, or the number of the send whose reply decided it. */
  readonly because: string
  /** Id of the last event that led to it. */
  readonly cause: string
  /** Failed attempts. */
  readonly tries: number
  readonly notBefore?: string
  readonly error?: string
  /** The call may have been made already. */
  readonly begun?: true
}

/** Why an instance is stuck. */
export interface Stuck {
  /** Id of an event, number of a send, or `timer <name>`. */
  readonly at: string
  readonly message: string
  readonly code?: CqrsErrorCode | 'REFUSED'
  readonly since: string
}

/** A timer that is set. */
export interface SetTimer {
  readonly at: string
  /** Id of the last event that led to it. */
  readonly cause: string
}

/** An instance of a process. Its id is the id of the instance. */
export interface InstanceRow {
  readonly state: unknown
  readonly stateVersion: number
  /** Number of the next send. */
  readonly n: number
  readonly todo: readonly PendingSend[]
  readonly timers: Readonly<Record<string, SetTimer>>
  /** Ids of the events that wait for the input at which it is stuck. */
  readonly behind: readonly string[]
  /** Stuck at an event, or at the timer of this name: all later ones wait. With `again`, it is retried. */
  readonly stuck?: Stuck & { readonly again?: true; readonly timer?: string }
  /** Stuck at the first of `todo`, which holds up the others. */
  readonly stuckSend?: Stuck
  readonly ended?: string
  /** Id of the commit that saved it last. */
  readonly by: string
  readonly correlationId: string
  readonly startedBy: string
  readonly startedAt: string
  readonly changedAt: string
}

/** Index of the instances that are stuck. */
export const stuckIndex = 'stuck'

/** Returns access to the instances of a process. */
export const instanceRows = (process: string, shards: number): InternalRows<InstanceRow> =>
  new InternalRows<InstanceRow>(`~process/${process}`, (row, id) => {
    const due = dueOf(row)
    return {
      ...(due === undefined ? {} : { [dueIndex(shardOf(id, shards))]: due }),
      ...(isStuck(row) ? { [stuckIndex]: '' } : {}),
    }
  })

export const isStuck = ({ stuck, stuckSend }: InstanceRow): boolean => stuck !== undefined || stuckSend !== undefined

/** Returns the value of the due index; `undefined` if only a person can continue, or nothing is left. */
export function dueOf(row: InstanceRow): string | undefined {
  if (row.stuck?.again) return dueAtOnce
  const head = headOf(row)
  const times = [...(head === undefined ? [] : [head.notBefore ?? dueAtOnce]), ...timersOf(row).map(({ at }) => at)]
  if (times.length > 0) return times.reduce((first, time) => (time < first ? time : first))
  return row.ended !== undefined || row.stuck !== undefined ? undefined : waitsForEvents
}

/** Returns the send that is done next; `undefined` if there is none, or it is stuck. */
export const headOf = ({ todo, stuckSend }: InstanceRow): PendingSend | undefined =>
  stuckSend === undefined ? todo[0] : undefined

/** Returns the timers that may fire, in the order of their times, then of their names. */
export function timersOf({ timers, stuck, ended }: InstanceRow): readonly (SetTimer & { readonly name: string })[] {
  if (stuck !== undefined || ended !== undefined) return []
  const all = Object.entries(timers).map(([name, timer]) => ({ name, ...timer }))
  return all.sort((a, b) => compare(a.at, b.at) || compare(a.name, b.name))
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
