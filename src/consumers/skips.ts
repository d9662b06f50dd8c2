import type { ViewWrite } from '../store/commit.ts'
import { type SkippedRow, skippedRows, stoppedRows } from '../store/internal-rows.ts'
import { sha256 } from '../util/digest.ts'
import type { ConsumerCore } from './core.ts'

export const skippedId = ({ consumer, eventId }: Pick<SkippedRow, 'consumer' | 'eventId'>): Promise<string> =>
  sha256(`${consumer}\n${eventId}`)

/** Returns writes that record a skipped event and clear its stop. */
export async function skipWrites({ store }: ConsumerCore, skipped: SkippedRow): Promise<readonly ViewWrite[]> {
  const stopped = await stoppedRows.read(store, skipped.consumer)
  const record = await skippedRows.read(store, await skippedId(skipped))
  const isStill = stopped.value?.eventId === skipped.eventId
  return [...(isStill ? [stoppedRows.write(stopped, null)] : []), skippedRows.write(record, skipped)]
}
