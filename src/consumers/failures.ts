import { isCqrsError, messageOf } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import { eventId } from '../store/event-id.ts'
import { encodeIndexValue } from '../store/index-value.ts'
import {
  duePlace,
  type FailedRow,
  failedRows,
  type InternalRow,
  type ProcessorRow,
  parkedPlace,
  processorRows,
} from '../store/internal-rows.ts'
import type { ViewFind } from '../store/store.ts'
import type { ConsumerCore } from './core.ts'
import { firstRow } from './layout.ts'
import type { Failure, Processor } from './processor.ts'
import { rowsOf } from './rows.ts'
import { clearStopped, storable } from './stopped.ts'

/** Rows that are read at once. */
export const mostFailed = 1_000
/** Due rows that are read at once. */
const mostDue = 50
const stackLength = 4_000

export const failedEventId = ({ aggregateType, aggregateId, sequence }: FailedRow): string =>
  eventId(aggregateType, aggregateId, sequence)

/** What is kept of a failure. `before`: of the aggregate, where it waits already. */
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

/** What becomes of a failure. `row`: its aggregate waits. `halts`: all waits. */
export function afterFailure(
  core: Core,
  processor: Processor,
  failure: Failure,
  resumes: number,
  before?: FailedRow,
): { readonly row?: FailedRow; readonly halts?: true } {
  const { onFailure } = processor
  if (failure.kind === 'outdated' || onFailure === 'stop' || onFailure === 'retry') return { halts: true }
  const row = toFailed(core, processor, failure, resumes, before)
  if (onFailure === 'park') return { row }
  const now = core.runtime.now().getTime()
  const { firstMs, factor, maxMs, forMs } = onFailure.retry
  const isOver = now - Date.parse(row.failedAt) >= forMs
  if (isOver) return onFailure.then === 'park' ? { row } : { row, halts: true }
  const waitMs = Math.min(maxMs, firstMs * factor ** (row.attempts - 1)) * (0.5 + core.runtime.random() / 2)
  const { resumes: _, ...retried } = row
  return { row: { ...retried, nextTryAt: new Date(now + Math.ceil(waitMs)).toISOString() } }
}

async function find(core: Core, request: Omit<ViewFind, 'name' | 'generation'>) {
  const page = await core.store.findViews({ name: failedRows.name, generation: 1, ...request })
  return { items: page.items.map((row) => failedRows.parse(row.id, row)), next: page.next }
}

/** Failed aggregates of a consumer, in the order of their ids. */
export const findFailed = (core: Core, consumer: string, limit: number, after?: string) =>
  find(core, {
    where: [{ index: 'consumer', is: '=', value: encodeIndexValue(consumer) }],
    limit,
    ...(after === undefined ? {} : { after: { id: after } }),
  })

/** Those that no program could read so far. */
export const findUnreadable = (core: Core, consumer: string) =>
  find(core, { where: [{ index: 'unreadable', is: '=', value: encodeIndexValue(consumer) }], limit: mostDue })

type After = ViewFind['after']

/** Those that are due, first those that wait for a time, then those that were parked before `resume`; each the oldest first. */
export async function findDue(core: Core, consumer: string, resumes: number, isWanted: (row: FailedRow) => boolean) {
  const now = core.runtime.now().toISOString()
  const due = await findFirst(core, consumer, 'due', duePlace(consumer), duePlace(consumer, now), isWanted)
  if (due.length > 0 || resumes === 0) return due
  return findFirst(core, consumer, 'parked', parkedPlace(consumer, 0), parkedPlace(consumer, resumes), isWanted)
}

async function findFirst(
  core: Core,
  consumer: string,
  index: 'due' | 'parked',
  from: string,
  to: string,
  isWanted: (row: FailedRow) => boolean,
): Promise<readonly InternalRow<FailedRow>[]> {
  const where = [
    { index, is: '>=' as const, value: encodeIndexValue(from) },
    { index, is: '<=' as const, value: encodeIndexValue(to) },
  ]
  for (let after: After; ; ) {
    const page = await find(core, { where, orderBy: { index }, limit: mostDue, ...(after && { after }) })
    const wanted = page.items.filter(({ value }) => value?.consumer === consumer && isWanted(value))
    if (wanted.length > 0 || page.next === undefined) return wanted
    after = page.next
  }
}

/** When the next one is tried again; `undefined` when none is. */
export async function nextDue(core: Core, consumer: string): Promise<Date | undefined> {
  const where = [
    { index: 'due', is: '>=' as const, value: encodeIndexValue(duePlace(consumer)) },
    { index: 'due', is: '<' as const, value: encodeIndexValue(duePlace(consumer, '~')) },
  ]
  const { items } = await find(core, { where, orderBy: { index: 'due' }, limit: 1 })
  const nextTryAt = items[0]?.value?.nextTryAt
  return nextTryAt === undefined ? undefined : new Date(nextTryAt)
}

/** Whether it is to be tried now. */
export const isDue = (row: FailedRow, resumes: number, now: string): boolean =>
  row.nextTryAt === undefined ? (row.resumes ?? 0) < resumes : row.nextTryAt <= now

type Said = Pick<ProcessorRow, 'resumes' | 'touched' | 'epoch' | 'reset'>

export const readProcessor = async ({ store }: Core, consumer: string): Promise<Said> =>
  (await processorRows.read(store, consumer)).value ?? { resumes: 0, touched: 0, epoch: 1 }

/** Lets a consumer continue, and has everything parked tried again: two writes, however much is parked. */
export async function resume(core: ConsumerCore, processor: Processor): Promise<void> {
  await processorRows.update(rowsOf(core), processor.name, async (found) => {
    const row = found ?? (await firstRow(core, processor))
    return { ...row, resumes: row.resumes + 1, touched: row.touched + 1 }
  })
  await clearStopped(core, processor.name)
}
