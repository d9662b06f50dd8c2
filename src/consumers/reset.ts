import { DefinitionError, NotYetError, ValidationError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { aggregatePage, feedPage } from '../execution/read-page.ts'
import type { ViewWrite } from '../store/commit.ts'
import {
  type FailedRow,
  failedRows,
  type InternalRow,
  processorRows,
  type ResetRow,
  stoppedRows,
} from '../store/internal-rows.ts'
import type { ViewFind } from '../store/store.ts'
import { isPosition } from '../util/names.ts'
import { checkCallOptions } from '../util/options.ts'
import type { ConsumerCore } from './core.ts'
import { findFailed } from './find-failed.ts'
import { firstRow, layoutOf, progressIn, readOrBegin } from './layout.ts'
import { type Lease, withLease } from './lease.ts'
import { beginning } from './positions.ts'
import type { Processor } from './processor.ts'
import { isBeyond, writeProgress } from './progress.ts'
import { beginEpoch, patienceMs } from './relayout.ts'
import { saveRows } from './rows.ts'
import { checkSaid } from './said.ts'
import { readStopped } from './stopped.ts'

/**
 * Position from which a reset subscription continues; all later events are delivered, also for a
 * second time.
 */
export type ResetTarget = 'beginning' | 'now' | Position | Date

/** Options of `reset`. */
export interface ResetOptions {
  /**
   * Where to continue.
   *
   * With `'beginning'`, at the first event. With `'now'`, after the last one. With a position,
   * after it. With a `Date`, at the first event recorded at that time less one minute, since clocks
   * differ.
   */
  readonly to: ResetTarget
  /** Stored with the subscription. */
  readonly reason: string
  readonly by?: string | undefined
}

/** Largest assumed difference of clocks. */
const clocksDifferMs = 60_000
/** Aggregates that are read in parallel. */
const atOnce = 20

/** @throws ValidationError */
export function checkReset(options: unknown, now: Date): asserts options is ResetOptions {
  checkCallOptions('reset', options, ['to', 'reason', 'by'])
  const { to, ...said } = options as Partial<Record<keyof ResetOptions, unknown>>
  const isDate = to instanceof Date && !Number.isNaN(to.getTime())
  if (to !== 'beginning' && to !== 'now' && !isPosition(to) && !isDate)
    throw new ValidationError("reset: to must be 'beginning', 'now', the position of an event or a Date.")
  if (isDate && to > now) throw new ValidationError(`reset: to is ${to.toISOString()}, which is in the future.`)
  checkSaid('reset', said, 'It is stored with the subscription.')
}

/** Returns the stored record of a reset. */
export const resetRow = (to: string, { reason, by }: ResetOptions, now: Date, isCleared: boolean): ResetRow => ({
  to,
  reason,
  ...(by === undefined ? {} : { by }),
  at: now.toISOString(),
  isCleared,
})

/** Returns the time of a `Date` less the clock difference, or now. */
export const sinceOf = (to: Date | 'now', now: Date): Date => (to === 'now' ? now : new Date(to.getTime() - clocksDifferMs))

/**
 * Begins a new epoch at another position, under the leases of all partitions.
 *
 * @throws ValidationError for a position after the end of the log, and the signal's reason
 */
export async function resetLog(
  core: ConsumerCore,
  processor: Processor,
  options: ResetOptions,
  signal: AbortSignal,
): Promise<void> {
  const { runtime, store } = core
  const { name } = processor
  const to = await positionOf(core, options.to)
  await readOrBegin(core, processor, (await processorRows.read(store, name)).value)
  const isBegun = () =>
    beginEpoch(
      core,
      name,
      { signal },
      ({ touched }) => ({ progress: { at: to }, touched: touched + 1, reset: resetRow(to, options, runtime.now(), false) }),
      () => stoppedWrites(core, name),
    )
  while (!(await isBegun())) signal.throwIfAborted()
  await finishReset(core, name)
}

/** Returns the time limit of a reset that waits for handlers. */
export const resetPatienceMs = ({ leaseMs }: ConsumerCore): number => leaseMs + patienceMs

export const busyError = (title: string, core: ConsumerCore): NotYetError =>
  new NotYetError(
    `${title} was not reset: handlers were still running after ${resetPatienceMs(core)} ms. Nothing was changed. Retry later.`,
  )

/**
 * Begins a new epoch where there is no global order. Its next run reads all aggregates, and decides
 * on the position in each when it meets it.
 *
 * @throws DefinitionError for a position
 */
export async function resetAggregates(core: ConsumerCore, processor: Processor, options: ResetOptions): Promise<void> {
  const { to } = options
  if (isPosition(to))
    throw new DefinitionError("reset: this store has no global order, so to must be 'beginning', 'now' or a Date.")
  const { name } = processor
  const now = core.runtime.now()
  const reset = resetRow(to === 'beginning' ? to : sinceOf(to, now).toISOString(), options, now, true)
  for (;;) {
    const row = await processorRows.read(core.store, name)
    const before = row.value ?? (await firstRow(core, processor))
    const { epoch, touched } = before
    const next = { ...before, epoch: epoch + 1, touched: touched + 1, changedAt: now.toISOString(), reset }
    if ((await saveRows(core, [processorRows.write(row, next), ...(await stoppedWrites(core, name))])) === 'saved') return
  }
}

export async function stoppedWrites(core: ConsumerCore, name: string): Promise<readonly ViewWrite[]> {
  const stopped = await readStopped(core, name)
  return stopped.value === undefined ? [] : [stoppedRows.write(stopped, null)]
}

/** Returns the position of a target. @throws ValidationError */
async function positionOf(core: ConsumerCore, to: ResetTarget): Promise<Position> {
  if (to === 'beginning') return beginning
  const last = (await core.store.lastPosition()) ?? beginning
  if (to === 'now') return last
  if (to instanceof Date) return positionBefore(core, sinceOf(to, to).getTime(), last)
  if (isBeyond(to, last)) throw new ValidationError(`reset: to is position ${to}, but the log ends at ${last}.`)
  return to
}

/**
 * Finds a position up to which events are older. Bisects, since events around it are not in order
 * of their clocks.
 */
async function positionBefore(core: ConsumerCore, time: number, last: Position): Promise<Position> {
  let [low, high] = [BigInt(beginning), BigInt(last)]
  while (low < high) {
    const middle = (low + high) / 2n
    const next = await firstAfter(core, String(middle) as Position)
    const position = next === undefined ? high : BigInt(next.position as Position)
    if (next !== undefined && position <= high && Date.parse(next.recordedAt) < time) low = position
    else high = middle
  }
  return String(low) as Position
}

async function firstAfter(core: ConsumerCore, after: Position) {
  for (let from = after; ; ) {
    const { events, position, more } = await feedPage(core, from === beginning ? {} : { after: from }, 1)
    if (events[0] !== undefined || !more || position === undefined) return events[0]
    from = position
  }
}

/**
 * Deletes failures after the position of a reset, since the events are read again. Runs under the
 * lease of the first partition, with its fence in each commit, so a stalled process cannot delete
 * later failures. Returns false if another process has the lease.
 */
export const finishReset = (core: ConsumerCore, name: string): Promise<boolean> =>
  withLease(core, name, (lease) => clear(core, name, lease))

async function clear(core: ConsumerCore, name: string, lease: Lease): Promise<void> {
  const { value: row } = await processorRows.read(core.store, name)
  if (row?.reset?.isCleared !== false) return
  const progress = progressIn(layoutOf(name, row), 0, lease.text ?? undefined)
  const to = row.reset.to as Position
  // Keep the checkpoint as it is: a change of the layout may be in progress.
  const text = lease.text ?? writeProgress(progress)
  const size = Math.min(1_000, core.store.capabilities.itemsPerCommit - 1)
  for (let after: ViewFind['after']; ; ) {
    await lease.prove()
    const page = await findFailed(core, name, size, after)
    const later = await laterThan(core, to, page.items)
    const rows = later.map((one) => failedRows.write(one, null))
    // Read again the rows that another process changed meanwhile.
    if (rows.length > 0 && (await lease.write(text, { rows })) !== 'saved') continue
    if (page.next === undefined) break
    after = page.next
  }
  for (;;) {
    const { id, version, value } = await processorRows.read(core.store, name)
    if (value?.reset === undefined) return
    const write = processorRows.write({ id, version }, { ...value, reset: { ...value.reset, isCleared: true } })
    if ((await lease.write(text, { rows: [write] })) === 'saved') return
  }
}

/**
 * Returns the rows whose event is after a position, or not stored yet because earlier ones were
 * skipped.
 */
async function laterThan(core: ConsumerCore, to: Position, all: readonly InternalRow<FailedRow>[]) {
  if (to === beginning) return all
  const later: InternalRow<FailedRow>[] = []
  for (let i = 0; i < all.length; i += atOnce) {
    const some = all.slice(i, i + atOnce)
    const positions = await Promise.all(some.map(({ value }) => positionIn(core, value)))
    later.push(...some.filter((_, n) => positions[n] === undefined || isBeyond(positions[n], to)))
  }
  return later
}

async function positionIn(core: ConsumerCore, row: FailedRow | undefined): Promise<Position | undefined> {
  if (row === undefined) return undefined
  const { aggregateType, aggregateId, sequence } = row
  const { events } = await aggregatePage(core, { aggregateType, aggregateId, after: sequence - 1, upTo: sequence })
  return events[0]?.position
}
