import type { ConsumerCore } from '../consumers/core.ts'
import { saveRows } from '../consumers/rows.ts'
import { storable } from '../consumers/stopped.ts'
import { retryWaitMs } from '../due/back-off.ts'
import { isOutage, wouldFailAgain } from '../due/command-errors.ts'
import { messageOf } from '../errors.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import { type Call, callTogether } from '../execution/call.ts'
import type { Decided, Together } from '../execution/decided.ts'
import type { Accepted, Rejected } from '../execution/result.ts'
import { Gone } from '../execution/together.ts'
import type { InternalRow, InternalRows } from '../store/internal-rows.ts'
import type { Deadline, DeadlineRow, Deadlines } from './deadline-row.ts'
import { rowOf } from './rows.ts'
import { nextDeadlines, wantedOf } from './wanted.ts'

/** Attempts of a deadline that fails, before it waits for `resume`. */
const attempts = 10

/** Shared by all work on deadlines. */
export interface DeadlineCore {
  readonly core: ConsumerCore
  readonly rows: InternalRows<DeadlineRow>
  /** Executes a command on an aggregate of the app, by its type. */
  readonly execute: (aggregateType: string, call: Call) => Promise<Accepted | Rejected>
  /** Returns whether user code of an aggregate threw the error. */
  readonly isForeign: (error: unknown) => boolean
  readonly onStuck: (error: unknown) => void
}

export type StoredDeadlines = InternalRow<DeadlineRow> & { readonly value: DeadlineRow }

/**
 * Sends the command of a deadline. The commit of the command, or of its rejection, settles the
 * deadline. Does nothing if another writer has moved the row.
 */
export async function sendDeadline(
  work: DeadlineCore,
  definition: AggregateDefinition,
  row: StoredDeadlines,
  type: string,
  signal: AbortSignal,
): Promise<void> {
  const { rows, core, execute, isForeign } = work
  const { aggregateType, aggregateId, deadlines } = row.value
  const { at, data } = deadlines[type] as Deadline
  const together: Together = {
    commandId: `deadline/${aggregateType}/${aggregateId}/${type}/${at}`,
    hasDeadlines: true,
    rows: (decided) => [rows.write(row, rowOf(aggregateType, aggregateId, settled(definition, row.value, type, decided)))],
    stands: async () => (await rows.read(core.store, row.id)).version === row.version,
  }
  try {
    const command = data === undefined ? { type } : { type, data }
    await execute(aggregateType, callTogether({ aggregateId, command, metadata: { deadline: at }, signal, together }))
  } catch (error) {
    if (error instanceof Gone) return
    if (signal.aborted) throw error
    if (!isForeign(error) && isOutage(error)) throw error
    await countFailure(work, row, type, error)
  }
}

/** Returns the deadlines after a decision on the command of one of them. */
function settled(definition: AggregateDefinition, row: DeadlineRow, type: string, decided: Decided): Deadlines {
  const { deadlines, aggregateId } = row
  if (!decided.ok) return nextDeadlines(deadlines, deadlines, type)
  const rules = definition.rules.find(({ kind }) => kind === 'deadlines')?.functions ?? new Map()
  const sequence = decided.events.at(-1)?.sequence ?? 0
  return nextDeadlines(deadlines, wantedOf({ definition, aggregateId }, rules, { state: decided.state, sequence }), type)
}

/** Stores that an attempt has failed: it is repeated later, or waits for `resume`. */
async function countFailure(work: DeadlineCore, row: StoredDeadlines, type: string, error: unknown): Promise<void> {
  const { core, isForeign, onStuck } = work
  const { deadlines } = row.value
  const { notBefore: _, ...failed } = deadlines[type] as Deadline
  const now = core.runtime.now()
  const tries = failed.tries + 1
  const isStuck = tries >= attempts || (!isForeign(error) && wouldFailAgain(error))
  const again = isStuck ? { stuck: now.toISOString() } : { notBefore: new Date(now.getTime() + retryWaitMs(tries)).toISOString() }
  const next = { ...failed, tries, error: storable(messageOf(error), 1_000), ...again }
  const isSaved = await saveDeadlines(work, row, { ...deadlines, [type]: next })
  if (isSaved && isStuck) onStuck(error)
}

/** Returns `false` if another writer has moved the row. */
export async function saveDeadlines(
  { core, rows }: Pick<DeadlineCore, 'core' | 'rows'>,
  row: StoredDeadlines,
  deadlines: Deadlines,
): Promise<boolean> {
  const { aggregateType, aggregateId } = row.value
  return (await saveRows(core, [rows.write(row, rowOf(aggregateType, aggregateId, deadlines))])) === 'saved'
}
