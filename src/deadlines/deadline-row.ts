import { dueIndex, shardOf, shardsOf } from '../due/shards.ts'
import { InternalRows } from '../store/internal-rows.ts'
import type { Store } from '../store/store.ts'
import { sha256 } from '../util/digest.ts'

/** A command that an aggregate receives at a time. */
export interface Deadline {
  /** ISO 8601. */
  readonly at: string
  readonly data?: unknown
  /** Failed attempts. */
  readonly tries: number
  /** Time of the next attempt, after a failed one. */
  readonly notBefore?: string
  readonly error?: string
  /** Since when it waits for `resume`. */
  readonly stuck?: string
  /** The command was stored or rejected: it is sent again only at another time. */
  readonly done?: true
}

/** Command type → its deadline. */
export type Deadlines = Readonly<Record<string, Deadline>>

/** The deadlines of one aggregate. Its id is a digest of type and id. */
export interface DeadlineRow {
  readonly aggregateType: string
  readonly aggregateId: string
  readonly deadlines: Deadlines
}

export const deadlineName = '~deadline'

/** Index of the rows with a deadline that is stuck. */
export const stuckIndex = 'stuck'

/** Returns access to the deadlines of all aggregates. */
export function deadlineRowsIn(store: Pick<Store, 'capabilities'>): InternalRows<DeadlineRow> {
  const shards = shardsOf(store)
  return new InternalRows<DeadlineRow>(deadlineName, (row, id) => {
    const due = dueOf(row)
    return {
      ...(due === undefined ? {} : { [dueIndex(shardOf(id, shards))]: due }),
      ...(Object.values(row.deadlines).some(({ stuck }) => stuck !== undefined) ? { [stuckIndex]: '' } : {}),
    }
  })
}

export const rowIdOf = (aggregateType: string, aggregateId: string): Promise<string> =>
  sha256(JSON.stringify([aggregateType, aggregateId]))

/** Returns when the first deadline of a row is due; `undefined` if none waits for a time. */
export const dueOf = (row: DeadlineRow): string | undefined => waitingOf(row)[0]?.due

/** Returns the deadlines that wait for a time, the first first. */
export function waitingOf({
  deadlines,
}: DeadlineRow): readonly (Deadline & { readonly command: string; readonly due: string })[] {
  const all = Object.entries(deadlines).map(([command, one]) => ({ command, ...one, due: one.notBefore ?? one.at }))
  const waiting = all.filter(({ done, stuck }) => done === undefined && stuck === undefined)
  return waiting.sort((a, b) => compare(a.due, b.due) || compare(a.command, b.command))
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
