import { looksOf } from '../consumers/looks.ts'
import type { ConsumerStatus } from '../consumers/status.ts'
import { ValidationError } from '../errors.ts'
import { encodeIndexValue } from '../store/index-value.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { oneOf, optional, readCallOptions, unchecked, withDefault } from '../util/option-table.ts'
import { checkPage } from '../util/options.ts'
import { parsePageCursor, toPageCursor } from '../util/page-cursor.ts'
import type { DeadlineConsumer } from './consumer.ts'
import { type Deadline, type DeadlineRow, deadlineName, stuckIndex } from './deadline-row.ts'
import { type DeadlineCore, type StoredDeadlines, saveDeadlines } from './send-deadline.ts'

/** A command that an aggregate is to receive. */
export interface WaitingDeadline {
  readonly aggregateType: string
  readonly aggregateId: string
  readonly command: string
  /** Time that the state gives; ISO 8601. */
  readonly at: string
  /** Failed attempts. */
  readonly attempts: number
  /** Message of the last failed attempt. */
  readonly error?: string
}

/** Options of `app.deadlines.list`. */
export interface ListDeadlines {
  /** Default `'running'`: deadlines that are not stuck. */
  readonly only?: 'running' | 'stuck' | undefined
  /** Aggregates per page, 1–1,000, default 100. */
  readonly limit?: number | undefined
  /** `next` of the previous page. */
  readonly after?: string | undefined
}

/** The deadlines of all aggregates of an app. */
export interface DeadlinesHandle {
  /**
   * Lists deadlines that wait, or stuck ones: their command has failed too often. A page may have
   * fewer aggregates than `limit`.
   * @throws ValidationError, StoreError, ClosedError
   */
  list(options?: ListDeadlines): Promise<{ readonly items: readonly WaitingDeadline[]; readonly next?: string }>
  /** Retries all stuck deadlines. @throws StoreError, ClosedError */
  resume(): Promise<void>
  /** Returns the current status. Takes no lease. @throws StoreError, ClosedError */
  health(): Promise<ConsumerStatus>
}

const optionsOfList = {
  only: withDefault<'running' | 'stuck'>('running', oneOf('running', 'stuck')),
  limit: withDefault(100, unchecked),
  after: optional<string>(unchecked),
}
const resumePage = 200

export function deadlinesHandle(work: DeadlineCore, consumer: DeadlineConsumer, lifecycle: Lifecycle): DeadlinesHandle {
  const { core } = work
  return Object.freeze({
    list: (options: ListDeadlines = {}) =>
      lifecycle.run('list of the deadlines', async () => {
        const { only, limit, after } = readCallOptions('list of the deadlines', options, optionsOfList)
        checkPage('list of the deadlines', limit, undefined)
        if (after !== undefined && typeof after !== 'string')
          throw new ValidationError('list of the deadlines: after must be the next of a page.')
        const { rows, next } = await pageOf(work, only === 'stuck', limit, after)
        const isListed = (one: Deadline) => one.done === undefined && (one.stuck !== undefined) === (only === 'stuck')
        const items = rows.flatMap(({ value }) =>
          Object.entries(value.deadlines).flatMap(([command, one]) => (isListed(one) ? waitingOf(value, command, one) : [])),
        )
        return { items, ...(next === undefined ? {} : { next }) }
      }),
    resume: () =>
      lifecycle.run('resume of the deadlines', async () => {
        for (let after: string | undefined; ; ) {
          const { rows, next } = await pageOf(work, true, resumePage, after)
          for (const row of rows) await resumeRow(work, row)
          if (next === undefined) break
          after = next
        }
        core.pulse.wake(consumer.aggregateTypes)
      }),
    health: () => lifecycle.run('health of the deadlines', () => looksOf(core).status(consumer)),
  })
}

async function pageOf({ core, rows }: DeadlineCore, isStuck: boolean, limit: number, after: string | undefined) {
  const page = await core.store.findViews({
    name: deadlineName,
    generation: 1,
    where: isStuck ? [{ index: stuckIndex, is: '=', value: encodeIndexValue('') }] : [],
    limit,
    ...(after === undefined ? {} : { after: parsePageCursor('list', after, false) }),
  })
  const found = page.items.map((row) => rows.parse(row.id, row) as StoredDeadlines)
  return { rows: found, next: page.next && toPageCursor(page.next) }
}

function waitingOf(
  { aggregateType, aggregateId }: DeadlineRow,
  command: string,
  { at, tries, error }: Deadline,
): WaitingDeadline {
  return { aggregateType, aggregateId, command, at, attempts: tries, ...(error === undefined ? {} : { error }) }
}

/** Makes the stuck deadlines of one aggregate due again. */
async function resumeRow(work: DeadlineCore, stuck: StoredDeadlines): Promise<void> {
  for (let row = stuck; row.value !== undefined; ) {
    const next = Object.entries(row.value.deadlines).map(([command, { stuck, ...one }]) =>
      stuck === undefined ? ([command, one] as const) : ([command, { ...one, tries: 0 }] as const),
    )
    if (await saveDeadlines(work, row, Object.fromEntries(next))) return
    row = (await work.rows.read(work.core.store, row.id)) as StoredDeadlines
  }
}
