import type { AggregateDefinition } from '../aggregate-definition.ts'
import { ApplyError } from '../errors.ts'
import { jsonProblem, toJson } from '../json.ts'
import type { Append, Commit } from '../store/commit.ts'
import type { Loaded } from './cache.ts'
import type { Core, WiredAggregate } from './core.ts'
import type { DecidedEvents } from './decide.ts'
import { type Committed, committed } from './result.ts'
import { sender } from './send.ts'

/** Stores what was decided, with the snapshot that is due, the inline views and the idempotency key: all or nothing. */
export async function commit(
  core: Core,
  { definition, sendWithViews }: WiredAggregate,
  aggregateId: string,
  base: Loaded,
  decision: DecidedEvents,
  key: Commit['key'],
): Promise<Committed> {
  const unkeyed: Commit = { id: decision.commitId, appends: [appendOf(definition, aggregateId, base, decision)] }
  const bare = key === undefined ? unkeyed : { ...unkeyed, key }
  const send = sender(core, definition.type, aggregateId)
  return sendWithViews === undefined
    ? committed(await send(bare), undefined)
    : sendWithViews(send, bare, aggregateId, base, decision)
}

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
    const problem = jsonProblem(error)
    const at = { aggregateType: definition.type, aggregateId, sequence }
    throw new ApplyError(
      `The state of ${definition.type} '${aggregateId}' at ${sequence} cannot be stored as a snapshot: ${problem}. State must be JSON.`,
      at,
      error,
    )
  }
}
