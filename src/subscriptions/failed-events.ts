import { rowIdOf } from '../consumers/change.ts'
import type { ConsumerCore } from '../consumers/core.ts'
import { failedEventId } from '../consumers/failures.ts'
import { findFailed, findInState } from '../consumers/find-failed.ts'
import { undividedRow } from '../consumers/layout.ts'
import { subscriptionConsumer } from '../consumers/names.ts'
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
import type { SubscriptionDefinition } from './definition.ts'

/** An event that failed; all that its aggregate did after it waits. */
export interface FailedEvent {
  readonly eventId: string
  readonly aggregateType: string
  readonly aggregateId: string
  readonly sequence: number
  /** `retrying`: tried again by itself at `nextTryAt`. `parked`: when someone asks. */
  readonly state: 'retrying' | 'parked'
  /** ISO 8601. */
  readonly nextTryAt?: string
  /** What its handler threw. */
  readonly message: string
  /** Up to 4,000 characters. */
  readonly stack?: string
  /** Of an error with a code. */
  readonly code?: string
  /** How often it was tried. */
  readonly attempts: number
  /** When it failed first, ISO 8601. */
  readonly failedAt: string
  /** When it failed last, where it is parked. */
  readonly parkedAt?: string
}

/** An event that someone has skipped. */
export interface SkippedEvent {
  readonly eventId: string
  /** What its handler threw. */
  readonly message: string
  readonly reason: string
  readonly by?: string
  /** ISO 8601. */
  readonly skippedAt: string
}

/** Which failed or skipped events to list. */
export interface FailedPage<T> {
  readonly items: readonly T[]
  /** Pass it as `after`. */
  readonly next?: string
}

/** What `parked` takes. */
export interface ListFailed {
  /** Default: both, in no particular order. `retrying`: the next first. `parked`: the order in which `resume()` retries them. */
  readonly state?: 'retrying' | 'parked' | undefined
  /** 1–1,000. Default 100. */
  readonly limit?: number | undefined
  /** The `next` of the page before, with the same `state`. */
  readonly after?: string | undefined
}

/** What is done with events that failed. */
export function failedEventsOf(core: ConsumerCore, { name, storedAs }: SubscriptionDefinition, lifecycle: Lifecycle) {
  const consumer = subscriptionConsumer(storedAs)
  const at = (method: string) => `${method} of the subscription '${name}'`
  const change = (method: string, eventId: string, plan: (failed: FailedRow) => Plan) =>
    lifecycle.run(at(method), async () => {
      const isChanged = await changeFailed(core, consumer, eventId, plan)
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
      checkSaid('skip', options, 'It is kept with the event.')
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
        const { unreadable: _, ...next } = withoutWaits(failed)
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

/** What is to become of a failed event. */
interface Plan {
  readonly next: FailedRow
  readonly skipped?: SkippedRow
}

const withoutWaits = ({ resumes: _, nextTryAt: __, ...row }: FailedRow): FailedRow => row

/** Changes the row of a failed event, under its version. False: it has not failed, or someone has dealt with it. */
async function changeFailed(
  core: ConsumerCore,
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
    const writes = [failedRows.write(row, next), ...(await touch(core, consumer)), ...(await record(core, skipped))]
    const stopped = await stoppedRows.read(core.store, consumer)
    if (stopped.value?.eventId === eventId) writes.push(stoppedRows.write(stopped, null))
    if ((await saveRows(core, writes)) === 'saved') return true
  }
}

/** Whoever runs the subscription looks at failed events again. */
async function touch(core: ConsumerCore, consumer: string): Promise<readonly ViewWrite[]> {
  const row = await processorRows.read(core.store, consumer)
  const before = row.value ?? undividedRow('subscription', core.runtime.now())
  return [processorRows.write(row, { ...before, touched: before.touched + 1 })]
}

async function record(core: ConsumerCore, skipped: SkippedRow | undefined): Promise<readonly ViewWrite[]> {
  if (skipped === undefined) return []
  return [skippedRows.write(await skippedRows.read(core.store, await skippedId(skipped)), skipped)]
}

/** The next process that runs the subscription passes over the event that has stopped it. */
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

/** The last first. */
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
  if (typeof eventId !== 'string') throw new ValidationError('An event is named by its id: a text.')
  const [first, last] = [eventId.indexOf('/'), eventId.lastIndexOf('/')]
  if (first < 1 || last <= first) return undefined
  return { aggregateType: eventId.slice(0, first), aggregateId: eventId.slice(first + 1, last) }
}
