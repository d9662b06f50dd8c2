import { isCqrsError, messageOf } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import { eventId } from '../store/event-id.ts'
import { type FailedRow, type ProcessorRow, processorRows } from '../store/internal-rows.ts'
import type { ConsumerCore } from './core.ts'
import { firstRow } from './layout.ts'
import type { Failure, Processor } from './processor.ts'
import { rowsOf } from './rows.ts'
import { clearStopped, storable } from './stopped.ts'

const stackLength = 4_000

export const failedEventId = ({ aggregateType, aggregateId, sequence }: FailedRow): string =>
  eventId(aggregateType, aggregateId, sequence)

/** Returns the row of a failure. `before`: the row of the aggregate, if it waits already. */
export function toFailed(
  { runtime }: Core,
  { name }: Processor,
  { at, error, kind, attempts = 1 }: Failure,
  resumes: number,
  before?: FailedRow,
): FailedRow {
  const now = runtime.now().toISOString()
  const stack = error instanceof Error ? error.stack : undefined
  return {
    consumer: name,
    aggregateType: at.aggregateType,
    aggregateId: at.aggregateId,
    sequence: at.sequence,
    message: storable(messageOf(error)),
    ...(stack === undefined ? {} : { stack: storable(stack, stackLength) }),
    ...(isCqrsError(error) ? { code: error.code } : {}),
    attempts,
    failedAt: before?.sequence === at.sequence ? before.failedAt : now,
    triedAt: now,
    resumes,
    ...(kind === 'failed' ? {} : { unreadable: true }),
  }
}

/**
 * Decides on a failure. With `row`, its aggregate waits. With `halts`, the whole consumer waits.
 */
export function afterFailure(
  core: Core,
  processor: Processor,
  failure: Failure,
  resumes: number,
  before?: FailedRow,
): { readonly row?: FailedRow; readonly halts?: true } {
  const { onFailure } = processor
  if (failure.kind === 'outdated' || failure.retry === 'all' || onFailure === 'stop' || onFailure === 'retry')
    return { halts: true }
  const row = toFailed(core, processor, failure, resumes, before)
  if (onFailure === 'park') return { row }
  const now = core.runtime.now().getTime()
  const { firstMs, factor, maxMs, forMs } = onFailure.retry
  const isOver = failure.retry === 'never' || now - Date.parse(row.failedAt) >= forMs
  if (isOver) return onFailure.then === 'park' ? { row } : { row, halts: true }
  const waitMs = Math.min(maxMs, firstMs * factor ** (row.attempts - 1)) * (0.5 + core.runtime.random() / 2)
  const { resumes: _, ...retried } = row
  return { row: { ...retried, nextTryAt: new Date(now + Math.ceil(waitMs)).toISOString() } }
}

/** Returns whether a retry is due now. */
export const isDue = (row: FailedRow, resumes: number, now: string): boolean =>
  row.nextTryAt === undefined ? (row.resumes ?? 0) < resumes : row.nextTryAt <= now

type Said = Pick<ProcessorRow, 'resumes' | 'touched' | 'epoch' | 'reset'>

export const readProcessor = async ({ store }: Core, consumer: string): Promise<Said> =>
  (await processorRows.read(store, consumer)).value ?? { resumes: 0, touched: 0, epoch: 1 }

/**
 * Continues a consumer and retries everything parked: two writes, however many events are parked.
 */
export async function resume(core: ConsumerCore, processor: Processor): Promise<void> {
  await processorRows.update(rowsOf(core), processor.name, async (found) => {
    const row = found ?? (await firstRow(core, processor))
    return { ...row, resumes: row.resumes + 1, touched: row.touched + 1 }
  })
  await clearStopped(core, processor.name)
}
