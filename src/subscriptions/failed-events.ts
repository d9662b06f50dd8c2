import { rowIdOf } from '../consumers/change.ts'
import type { ConsumerCore } from '../consumers/core.ts'
import type { ConsumerDefinition } from '../consumers/definitions.ts'
import { failedEventId } from '../consumers/failures.ts'
import { findFailed, findInState } from '../consumers/find-failed.ts'
import { undividedRow } from '../consumers/layout.ts'
import { actingConsumer } from '../consumers/names.ts'
import { saveRows } from '../consumers/rows.ts'
import { checkSaid } from '../consumers/said.ts'
import { skippedId } from '../consumers/skips.ts'
import { ValidationError } from '../errors.ts'
import type { ViewWrite } from '../store/commit.ts'
import { encodeIndexValue } from '../store/index-value.ts'
import {
  duePlace,
  type FailedRow,
  failedRows,
  processorRows,
  type SkippedRow,
  skippedRows,
  stoppedRows,
} from '../store/internal-rows.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { checkCallOptions, checkPage } from '../util/options.ts'
import { type LastRow, parsePageCursor, toPageCursor } from '../util/page-cursor.ts'

/** An event that failed. The later events of its aggregate wait. */
export interface FailedEvent {
  readonly eventId: string
  readonly aggregateType: string
  readonly aggregateId: string
  readonly sequence: number
  /**
   * `retrying`: retried automatically at `nextTryAt`. `parked`: waits for `resume()` or `retry()`.
   */
  readonly state: 'retrying' | 'parked'
  /** Time of the next retry, ISO 8601. Only if `retrying`. */
  readonly nextTryAt?: string
  /** Message of the error that its handler threw. */
  readonly message: string
  /** Stack of that error, up to 4,000 characters. */
  readonly stack?: string
  /** Code of that error, if it has one. */
  readonly code?: string
  /** Attempts so far. */
  readonly attempts: number
  /** Time of the first failure, ISO 8601. */
  readonly failedAt: string
  /** Time of the last failure, ISO 8601. Only if `parked`. */
  readonly parkedAt?: string
}

/** An event that was skipped. */
export interface SkippedEvent {
  readonly eventId: string
  /** Message of the error that its handler threw. */
  readonly message: string
  readonly reason: string
  readonly by?: string
  /** Time of the skip, ISO 8601. */
  readonly skippedAt: string
}

/** A page of failed or skipped events. */
export interface FailedPage<T> {
  readonly items: readonly T[]
  /** Cursor of the next page: pass it as `after`. Absent on the last page. */
  readonly next?: string
}

/** Options of `parked`. */
export interface ListFailed {
  /**
   * Only events in this state: `retrying` by time of the next retry, `parked` in the order in which
   * `resume()` retries them. Default: both, in no particular order.
   */
  readonly state?: 'retrying' | 'parked' | undefined
  /** Page size, 1–1,000. Default 100. */
  readonly limit?: number | undefined
  /** `next` of the page before, with the same `state`. */
  readonly after?: string | undefined
}

/** A subscription or a publication. */
type Acting = ConsumerDefinition & { readonly kind: 'subscription' | 'publication' }

/** Creates the methods that list, retry and skip failed events. */
export function failedEventsOf(core: ConsumerCore, { kind, name, storedAs }: Acting, lifecycle: Lifecycle) {
  const consumer = actingConsumer(kind, storedAs)
  const at = (method: string) => `${method} of the ${kind} '${name}'`
  const change = (method: string, eventId: string, plan: (failed: FailedRow) => Plan) =>
    lifecycle.run(at(method), async () => {
      const isChanged = await changeFailed(core, kind, consumer, eventId, plan)
      if (isChanged) core.pulse.wake()
      return isChanged
    })
  return {
    parked: (options: ListFailed = {}): Promise<FailedPage<FailedEvent>> =>
      lifecycle.run(at('parked'), async () => {
        checkCallOptions('parked', options, ['state', 'limit', 'after'])
        const { state, limit = 100, after } = options
        checkPage('parked', limit, undefined)
        if (state !== undefined && state !== 'retrying' && state !== 'parked')
          throw new ValidationError(`parked: state must be 'retrying' or 'parked', not ${String(state)}.`)
        const last = after === undefined ? undefined : parsePageCursor('parked', after, state !== undefined)
        const page = await (state === undefined
          ? findFailed(core, consumer, limit, last)
          : findInState(core, consumer, state, limit, last))
        return pageOf(
          page.items.map(({ value }) => toFailedEvent(value)),
          page.next,
        )
      }),
    retry: (eventId: string) =>
      change('retry', eventId, (failed) => ({ next: { ...withoutWaits(failed), nextTryAt: core.runtime.now().toISOString() } })),
    skip: async (eventId: string, options: { readonly reason?: unknown; readonly by?: unknown } = {}) => {
      checkCallOptions('skip', options, ['reason', 'by'])
      checkSaid('skip', options, 'It is stored with the event.')
      const { reason, by } = options
      const skipped = (message: string): SkippedRow => ({
        consumer,
        eventId,
        message,
        reason,
        ...(by === undefined ? {} : { by }),
        skippedAt: core.runtime.now().toISOString(),
      })
      return change('skip', eventId, (failed) => {
        const { unreadable: _, once: __, ...next } = withoutWaits(failed)
        const nextTryAt = core.runtime.now().toISOString()
        return { next: { ...next, sequence: failed.sequence + 1, attempts: 0, nextTryAt }, skipped: skipped(failed.message) }
      }).then((isSkipped) => isSkipped || lifecycle.run(at('skip'), () => skipStopped(core, consumer, eventId, skipped)))
    },
    skipped: (options: { readonly limit?: number; readonly after?: string } = {}): Promise<FailedPage<SkippedEvent>> =>
      lifecycle.run(at('skipped'), async () => {
        checkCallOptions('skipped', options, ['limit', 'after'])
        const { limit = 100, after } = options
        checkPage('skipped', limit, undefined)
        return findSkipped(core, consumer, limit, after === undefined ? undefined : parsePageCursor('skipped', after, true))
      }),
  }
}

/** A change of a failed event. */
interface Plan {
  readonly next: FailedRow
  readonly skipped?: SkippedRow
}

const withoutWaits = ({ resumes: _, nextTryAt: __, ...row }: FailedRow): FailedRow => row

/**
 * Changes the row of a failed event. Returns false if the event has not failed or is already
 * settled.
 */
async function changeFailed(
  core: ConsumerCore,
  kind: Acting['kind'],
  consumer: string,
  eventId: string,
  plan: (failed: FailedRow) => Plan,
): Promise<boolean> {
  const aggregate = aggregateOf(eventId)
  if (aggregate === undefined) return false
  for (;;) {
    const row = await failedRows.read(core.store, await rowIdOf(consumer, aggregate))
    if (row.value === undefined || failedEventId(row.value) !== eventId || row.value.attempts === 0) return false
    const { next, skipped } = plan(row.value)
    const writes = [failedRows.write(row, next), ...(await touch(core, kind, consumer)), ...(await record(core, skipped))]
    const stopped = await stoppedRows.read(core.store, consumer)
    if (stopped.value?.eventId === eventId) writes.push(stoppedRows.write(stopped, null))
    if ((await saveRows(core, writes)) === 'saved') return true
  }
}

/** Makes the process that runs the subscription check its failed events. */
async function touch(core: ConsumerCore, kind: Acting['kind'], consumer: string): Promise<readonly ViewWrite[]> {
  const row = await processorRows.read(core.store, consumer)
  const before = row.value ?? undividedRow(kind, core.runtime.now())
  return [processorRows.write(row, { ...before, touched: before.touched + 1 })]
}

async function record(core: ConsumerCore, skipped: SkippedRow | undefined): Promise<readonly ViewWrite[]> {
  if (skipped === undefined) return []
  return [skippedRows.write(await skippedRows.read(core.store, await skippedId(skipped)), skipped)]
}

/** Marks the event that stopped the subscription, so that the next run skips it. */
async function skipStopped(
  core: ConsumerCore,
  consumer: string,
  eventId: string,
  skipped: (message: string) => SkippedRow,
): Promise<boolean> {
  for (;;) {
    const row = await stoppedRows.read(core.store, consumer)
    if (row.value?.eventId !== eventId || row.value.skipped !== undefined) return false
    const next = { ...row.value, skipped: skipped(row.value.message) }
    if ((await saveRows(core, [stoppedRows.write(row, next)])) === 'saved') {
      core.pulse.wake()
      return true
    }
  }
}

/** Returns skipped events, the latest first. */
async function findSkipped(
  core: ConsumerCore,
  consumer: string,
  limit: number,
  after?: LastRow,
): Promise<FailedPage<SkippedEvent>> {
  const page = await core.store.findViews({
    name: skippedRows.name,
    generation: 1,
    where: [
      { index: 'at', is: '>=', value: encodeIndexValue(duePlace(consumer)) },
      { index: 'at', is: '<', value: encodeIndexValue(duePlace(consumer, '~')) },
    ],
    orderBy: { index: 'at', descending: true },
    limit,
    ...(after && { after }),
  })
  const items = page.items.flatMap((row): SkippedEvent[] => {
    const { value } = skippedRows.parse(row.id, row)
    if (value === undefined) return []
    const { consumer: _, ...event } = value
    return [event]
  })
  return pageOf(items, page.next)
}

const pageOf = <T>(items: readonly T[], next: LastRow | undefined): FailedPage<T> => ({
  items,
  ...(next && { next: toPageCursor(next) }),
})

function toFailedEvent(row: FailedRow): FailedEvent {
  const { aggregateType, aggregateId, sequence, message, stack, code, attempts, failedAt, triedAt, nextTryAt } = row
  return {
    eventId: failedEventId(row),
    aggregateType,
    aggregateId,
    sequence,
    state: nextTryAt === undefined ? 'parked' : 'retrying',
    ...(nextTryAt === undefined ? { parkedAt: triedAt } : { nextTryAt }),
    message,
    ...(stack === undefined ? {} : { stack }),
    ...(code === undefined ? {} : { code }),
    attempts,
    failedAt,
  }
}

function aggregateOf(eventId: unknown): { readonly aggregateType: string; readonly aggregateId: string } | undefined {
  if (typeof eventId !== 'string') throw new ValidationError('The id of an event must be a text.')
  const [first, last] = [eventId.indexOf('/'), eventId.lastIndexOf('/')]
  if (first < 1 || last <= first) return undefined
  return { aggregateType: eventId.slice(0, first), aggregateId: eventId.slice(first + 1, last) }
}
