import { isCqrsError, messageOf, StoppedError } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import { type InternalRow, type StoppedRow, stoppedRows } from '../store/internal-rows.ts'
import type { ConsumerCore } from './core.ts'
import { canRead } from './outdated.ts'
import type { Failure } from './processor.ts'
import { rowsOf, saveRows } from './rows.ts'

export const stoppedError = (title: string, { message, eventId }: StoppedRow, cause?: unknown): StoppedError =>
  new StoppedError(
    `${title} stopped at event ${eventId}: ${message} Later events wait. Fix the cause, then call resume().`,
    { eventId },
    cause,
  )

export const toStopped = ({ error, at, kind }: Failure, now: Date): StoppedRow => ({
  message: storable(endedSentence(messageOf(error))),
  ...(isCqrsError(error) ? { code: error.code } : {}),
  eventId: at.id,
  stoppedAt: now.toISOString(),
  ...(kind === 'unreadable' ? { unreadable: true } : {}),
})

const endedSentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`)

/**
 * Replaces characters that stores do not accept, and limits the length: error messages may contain
 * anything.
 */
export const storable = (text: string, most = 10_000): string => text.slice(0, most).replace(/[\0\p{Cs}]/gu, '\ufffd')

export const readStopped = ({ store }: Core, consumer: string): Promise<InternalRow<StoppedRow>> =>
  stoppedRows.read(store, consumer)

/**
 * Returns the stop of a consumer that is about to run. Clears a stop at an event that this program
 * can read.
 */
export async function stoppedToRun(
  core: ConsumerCore,
  consumer: string,
  found: InternalRow<StoppedRow>,
): Promise<InternalRow<StoppedRow>> {
  for (let row = found; ; row = await readStopped(core, consumer)) {
    if (row.value?.unreadable !== true || !(await canRead(core, row.value.eventId))) return row
    await saveRows(core, [stoppedRows.write(row, null)])
  }
}

/** Clears a stop. */
export async function clearStopped(core: ConsumerCore, consumer: string): Promise<void> {
  await stoppedRows.update(rowsOf(core), consumer, (row) => (row === undefined ? undefined : null))
}
