import type { ConsumerCore } from '../consumers/core.ts'
import { refuseInHandler } from '../consumers/handler-call.ts'
import { beginning, endOf } from '../consumers/positions.ts'
import type { LogConsumer } from '../consumers/sources/log.ts'
import { clearStopped } from '../consumers/stopped.ts'
import { ValidationError } from '../errors.ts'
import { progressOf, type RebuildOptions } from './rebuild-handle.ts'
import type { SqlRows } from './sql-rows.ts'

const sliceMs = 500
const waitMs = 20

/**
 * Empties the tables of a view and processes all events again. Readers see the partial tables
 * meanwhile.
 */
export async function rebuildSql(
  core: ConsumerCore,
  rows: SqlRows,
  consumer: LogConsumer,
  options: RebuildOptions,
): Promise<void> {
  const { id, signal, onProgress } = options
  if (id !== undefined)
    throw new ValidationError(`${rows.title} consists of your own tables. Rebuild it as a whole, without an id.`)
  refuseInHandler(core, `rebuild of ${rows.title}`, rows.title)
  signal?.throwIfAborted()
  const until = await endOf(core)
  const report = await progressOf(core, consumer, until, onProgress, beginning)
  try {
    while (!(await consumer.rewind((commit) => rows.reset(commit)))) {
      await report(false)
      await core.runtime.sleep(waitMs, signal)
    }
    // Clear an earlier stop: the rebuild starts over.
    await clearStopped(core, rows.name)
    consumer.lookAgain()
    for (;;) {
      signal?.throwIfAborted()
      const { state, error } = await consumer.run({ until, budgetMs: sliceMs, signal, keep: true })
      if (state === 'stopped' || state === 'outdated') throw error
      if (state === 'caught-up') break
      await report(false)
      if (state !== 'more') await core.runtime.sleep(waitMs, signal)
    }
  } finally {
    await consumer.release()
  }
  await report(true)
}
