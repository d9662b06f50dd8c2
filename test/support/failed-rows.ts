import type { Store } from 'cqrs-es'
import { rowIdOf } from '../../src/consumers/change.ts'
import { type FailedRow, failedRows } from '../../src/store/internal-rows.ts'

const consumer = 'subscription/log'
const perCommit = 1_000

type Some = Partial<FailedRow> & Pick<FailedRow, 'aggregateId'>

/**
 * Stores rows of failed counters, as the subscription `log` does. By default they are parked since
 * 2019, at their first event.
 */
export async function putFailed(store: Store, rows: readonly Some[]): Promise<void> {
  for (let i = 0; i < rows.length; i += perCommit) {
    const views = await Promise.all(rows.slice(i, i + perCommit).map((row) => writeOf(store, row)))
    const [outcome] = await store.append([{ id: crypto.randomUUID(), appends: [], views }])
    if (outcome?.kind !== 'stored') throw new Error(`The rows were not stored: ${JSON.stringify(outcome)}`)
  }
}

async function writeOf(store: Store, row: Some) {
  const before = '2019-01-01T00:00:00.000Z'
  const { nextTryAt } = row
  const value: FailedRow = {
    ...{ consumer, aggregateType: 'counter', sequence: 1, message: 'no', attempts: 1, failedAt: before, triedAt: before },
    ...(nextTryAt === undefined && { resumes: 0 }),
    ...row,
  }
  return failedRows.write(await failedRows.read(store, await rowIdOf(consumer, value)), value)
}

/** The counter that is found last, when rows are found in the order of their ids. */
export async function lastFound(ids: readonly string[]): Promise<string> {
  const rows = await Promise.all(
    ids.map(async (aggregateId) => ({ aggregateId, id: await rowIdOf(consumer, { aggregateType: 'counter', aggregateId }) })),
  )
  return rows.reduce((last, row) => (row.id > last.id ? row : last)).aggregateId
}
