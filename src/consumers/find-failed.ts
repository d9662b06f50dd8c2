import type { Core } from '../execution/core.ts'
import { encodeIndexValue } from '../store/index-value.ts'
import { duePlace, type FailedRow, failedRows, type InternalRow, parkedPlace } from '../store/internal-rows.ts'
import type { ViewFind } from '../store/store.ts'

/** Rows per read. */
export const mostFailed = 1_000
/** Due rows per read. */
const mostDue = 50
/** Above any number of `resume` calls. */
const mostResumes = 99_999_999

/** The row of a failed aggregate. */
export type Failed = InternalRow<FailedRow> & { readonly value: FailedRow }

/** A query for rows of a consumer, by an index. */
interface Request extends Pick<ViewFind, 'where' | 'orderBy'> {
  readonly consumer: string
}

const allOf = (consumer: string, index: 'consumer' | 'unreadable' = 'consumer'): Request => ({
  consumer,
  where: [{ index, is: '=', value: encodeIndexValue(consumer) }],
})

const between = (consumer: string, index: 'due' | 'parked', from: string, to: string): Request => ({
  consumer,
  where: [
    { index, is: '>=', value: encodeIndexValue(from) },
    { index, is: '<=', value: encodeIndexValue(to) },
  ],
  orderBy: { index },
})

/** Retried rows, the next retry first. */
const retryingOf = (consumer: string, until = '~'): Request =>
  between(consumer, 'due', duePlace(consumer), duePlace(consumer, until))

/** Parked rows, ordered by the number of `resume` calls before they were parked. */
const parkedOf = (consumer: string, resumes = mostResumes): Request =>
  between(consumer, 'parked', parkedPlace(consumer, 0), parkedPlace(consumer, resumes))

/**
 * Due rows: first those with a due time, then those parked before the last `resume`; each the
 * oldest first.
 */
function dueOf({ runtime }: Core, consumer: string, resumes: number): readonly Request[] {
  const retried = retryingOf(consumer, runtime.now().toISOString())
  return resumes === 0 ? [retried] : [retried, parkedOf(consumer, resumes)]
}

async function find({ store }: Core, { consumer, ...request }: Request, limit: number, after?: ViewFind['after']) {
  const page = await store.findViews({ name: failedRows.name, generation: 1, ...request, limit, ...(after && { after }) })
  const rows = page.items.map((row) => failedRows.parse(row.id, row))
  // Names with line breaks can resemble rows of another consumer.
  return { items: rows.filter((row): row is Failed => row.value?.consumer === consumer), next: page.next }
}

/** Iterates over pages of rows, each read on demand. */
async function* pagesOf(core: Core, request: Request, limit: number): AsyncGenerator<readonly Failed[], void, undefined> {
  for (let after: ViewFind['after']; ; ) {
    const { items, next } = await find(core, request, limit, after)
    yield items
    if (next === undefined) return
    after = next
  }
}

/** Returns failed aggregates of a consumer, in the order of their ids. */
export const findFailed = (core: Core, consumer: string, limit: number, after?: ViewFind['after']) =>
  find(core, allOf(consumer), limit, after)

/** Returns retried rows, the next retry first, or parked rows. */
export const findInState = (
  core: Core,
  consumer: string,
  state: 'retrying' | 'parked',
  limit: number,
  after?: ViewFind['after'],
) => find(core, state === 'retrying' ? retryingOf(consumer) : parkedOf(consumer), limit, after)

/** Iterates over rows that no program could read so far. */
export async function* unreadableRows(core: Core, consumer: string): AsyncGenerator<Failed, void, undefined> {
  for await (const page of pagesOf(core, allOf(consumer, 'unreadable'), mostFailed)) yield* page
}

/** Returns whether rows exist that no program could read. */
export const hasUnreadable = async (core: Core, consumer: string): Promise<boolean> =>
  (await find(core, allOf(consumer, 'unreadable'), 1)).items.length > 0

/** Iterates over due rows. */
export async function* dueRows(core: Core, consumer: string, resumes: number): AsyncGenerator<Failed, void, undefined> {
  for (const request of dueOf(core, consumer, resumes)) for await (const page of pagesOf(core, request, mostDue)) yield* page
}

/** Returns the wanted rows of the first page that has some. */
export async function findDue(
  core: Core,
  consumer: string,
  resumes: number,
  isWanted: (row: FailedRow) => boolean,
): Promise<readonly Failed[]> {
  for (const request of dueOf(core, consumer, resumes))
    for await (const page of pagesOf(core, request, mostDue)) {
      const wanted = page.filter(({ value }) => isWanted(value))
      if (wanted.length > 0) return wanted
    }
  return []
}

/** Returns the time of the next retry, or `undefined`. */
export async function nextDue(core: Core, consumer: string): Promise<Date | undefined> {
  for await (const [row] of pagesOf(core, retryingOf(consumer), 1))
    if (row?.value.nextTryAt !== undefined) return new Date(row.value.nextTryAt)
  return undefined
}
