import { eachEnded } from '../consumers/each-ended.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import { placeOfOne } from '../execution/commit-queue.ts'
import type { Core } from '../execution/core.ts'
import { type Adopted, type Adopting, partsOf } from '../execution/extension.ts'
import { loadAggregate } from '../execution/load.ts'
import type { ViewWrite } from '../store/commit.ts'

const pageSize = 200
/** Aggregates in parallel. */
const atOnce = 8

/**
 * Stores the rows of all aggregates of a type that lack some.
 *
 * A commit of rows alone cannot expect the sequence of an aggregate. So the rows are read between
 * two reads of the same state: a command that changes the state later also writes these rows.
 */
export async function adopt(core: Core, definition: AggregateDefinition, signal: AbortSignal): Promise<Adopted> {
  const doubles: Adopting['doubles'] = new Map()
  let written = 0
  for (let after: string | undefined; ; ) {
    signal.throwIfAborted()
    const page = await core.store.readIds({ aggregateType: definition.type, limit: pageSize, ...(after && { after }) })
    const waiting = [...page.items]
    const lane = async () => {
      for (let id = waiting.shift(); id !== undefined && !signal.aborted; id = waiting.shift()) {
        const rows = await adoptOne(core, definition, id, doubles, signal)
        written += rows
      }
    }
    await eachEnded(Array.from({ length: Math.min(atOnce, waiting.length) }, lane))
    signal.throwIfAborted()
    after = page.items.at(-1)
    if (!page.more || after === undefined) break
  }
  return { written, doubles: [...doubles.values()].map(({ unique, ids }) => ({ unique, ids: [...ids] })) }
}

/** Returns the number of rows that were stored. */
async function adoptOne(
  core: Core,
  definition: AggregateDefinition,
  aggregateId: string,
  doubles: Adopting['doubles'],
  signal: AbortSignal,
): Promise<number> {
  const readState = async (id: string) => {
    const slot = core.slots.use(definition.type, id)
    try {
      return await loadAggregate(core, slot, { definition, aggregateId: id, from: slot.cached, signal })
    } finally {
      core.slots.release(slot)
    }
  }
  for (;;) {
    const state = await readState(aggregateId)
    const found: ViewWrite[] = []
    for (const rules of definition.rules)
      found.push(...(await partsOf(rules).missing(core, { definition, aggregateId, rules, state, readState, doubles })))
    if (found.length === 0) return 0
    const again = await readState(aggregateId)
    if (again.sequence !== state.sequence || again.commitId !== state.commitId) continue
    const commit = { id: core.runtime.randomUUID(), appends: [], views: found }
    const outcome = await core.commitQueue.send(commit, placeOfOne(), undefined).outcome
    if (outcome.kind !== 'conflict') return found.length
  }
}
