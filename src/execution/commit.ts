import type { AggregateDefinition } from '../aggregate-definition.ts'
import { ApplyError, ConflictError } from '../errors.ts'
import { NotJson, pathText, toJson } from '../json.ts'
import type { Append, Commit } from '../store/commit.ts'
import { computeViews, planViews, sharedRowKeys } from '../views/inline.ts'
import type { Loaded } from './cache.ts'
import type { Core, WiredAggregate } from './core.ts'
import type { DecidedEvents } from './decide.ts'
import { type Settled, sender } from './send.ts'

/** Other writers of a view row may be first this often; each time one of them has come further. */
const viewAttempts = 200
const viewWaitMs = 2

export type Committed =
  | (Extract<Settled, { kind: 'stored' | 'repeated' }> & { readonly rows: Loaded['rows'] })
  | Extract<Settled, { kind: 'conflict' }>

/** Stores what was decided, with the snapshot that is due, the inline views and the idempotency key: all or nothing. */
export async function commit(
  core: Core,
  aggregate: WiredAggregate,
  aggregateId: string,
  base: Loaded,
  decision: DecidedEvents,
  key: Commit['key'],
): Promise<Committed> {
  const { definition, inlineViews } = aggregate
  const bare: Commit = {
    id: decision.commitId,
    appends: [appendOf(definition, aggregateId, base, decision)],
    ...(key && { key }),
  }
  const send = sender(core, definition.type, aggregateId)
  const plan = planViews(inlineViews, decision.envelopes)
  if (plan.length === 0) return withRows(await send(bare), base.rows)
  return core.rowQueue.runAll(sharedRowKeys(plan), async () => {
    for (let attempt = 1; ; attempt++) {
      const { writes, rows } = await computeViews(core, definition, aggregateId, base, decision.sequence, plan, attempt === 1)
      const outcome = await send({ ...bare, views: writes })
      if (outcome.kind !== 'conflict' || (outcome.on !== 'view' && outcome.on !== 'generation')) return withRows(outcome, rows)
      if (attempt === viewAttempts)
        throw new ConflictError(
          `The inline views of ${definition.type} '${aggregateId}' were moved by other writers ${attempt} times in a row.`,
          { aggregateType: definition.type, aggregateId, attempts: attempt },
        )
      if (outcome.on === 'generation') await core.generations.refresh(inlineViews)
      core.observe?.({ kind: 'retry', aggregateType: definition.type, aggregateId, attempt, on: outcome.on })
      if (attempt > 1) await core.runtime.sleep(viewWaitMs * core.runtime.random() * Math.min(attempt, 10))
    }
  })
}

const withRows = (outcome: Settled, rows: Loaded['rows']): Committed =>
  outcome.kind === 'conflict' ? outcome : { ...outcome, rows }

function appendOf(definition: AggregateDefinition, aggregateId: string, base: Loaded, decision: DecidedEvents): Append {
  const append = { aggregateType: definition.type, aggregateId, expectedSequence: base.sequence, events: decision.stored }
  return snapshotIsDue(definition, base.sequence, decision.sequence)
    ? { ...append, snapshot: snapshotOf(definition, aggregateId, decision) }
    : append
}

/** With `{ every: n }`, when the commit reaches or passes a multiple of n. */
function snapshotIsDue({ snapshots }: AggregateDefinition, before: number, after: number): boolean {
  if (snapshots === 'never' || snapshots === 'always') return snapshots === 'always'
  return Math.floor(after / snapshots) > Math.floor(before / snapshots)
}

function snapshotOf(definition: AggregateDefinition, aggregateId: string, { state, sequence }: DecidedEvents) {
  try {
    return { stateVersion: definition.stateVersion, state: toJson(state) }
  } catch (error) {
    if (!(error instanceof NotJson)) throw error
    const at = { aggregateType: definition.type, aggregateId, sequence }
    throw new ApplyError(
      `The state of ${definition.type} '${aggregateId}' at ${sequence} cannot be stored as a snapshot: ${pathText(error.path) || 'it'} is ${error.message}. State must be JSON.`,
      at,
      error,
    )
  }
}
