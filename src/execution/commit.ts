import { ApplyError } from '../errors.ts'
import type { Append, Commit } from '../store/commit.ts'
import { jsonProblem, toJson } from '../util/json.ts'
import { refusing } from '../util/refusing.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'
import type { InlineRows } from './core.ts'
import type { DecidedEvents } from './decide.ts'
import { type Base, type Execution, passTurn } from './execution.ts'
import type { Loaded } from './loaded.ts'
import { Fate, type PendingState } from './pending-state.ts'
import type { CommitResult } from './result.ts'
import { checkStands } from './together.ts'

/**
 * Stores decided events with the due snapshot, inline views and idempotency key: all or nothing.
 *
 * @throws Refused
 */
export function commit(execution: Execution, base: Base, decision: DecidedEvents): Promise<CommitResult> {
  const { aggregate, call, key } = execution
  const { commitId: id } = decision
  const appends = [appendOf(aggregate.definition, call.aggregateId, base.loaded, decision)]
  const plain: Commit = key === undefined ? { id, appends } : { id, appends, key }
  const bare: Commit = execution.beside === undefined ? plain : { ...plain, views: execution.beside.views }
  const inline = aggregate.inlineViews?.(call.aggregateId, decision, base.loaded, call.together)
  const send = () => sendUntilSettled(execution, bare, inline, base, decision)
  return inline === undefined ? send() : inline.exclusively(send)
}

/**
 * Sends a commit again while nothing but a row of an inline view, or a failed predecessor, is in
 * its way.
 */
async function sendUntilSettled(
  execution: Execution,
  bare: Commit,
  inline: InlineRows | undefined,
  base: Base,
  { state, sequence, commitId }: DecidedEvents,
): Promise<CommitResult> {
  const { core, slot } = execution
  const fate = new Fate()
  const chain = base.pending?.chain ?? fate
  let on = base.loaded
  let predecessor = base.pending
  let pending: PendingState | undefined
  let isStored = false
  try {
    for (let attempt = 1; ; attempt++) {
      const computed = inline && (await inline.compute(on, attempt))
      const next = { state, sequence, commitId, rows: computed === undefined ? on.rows : computed.rows }
      const whole = computed === undefined ? bare : { ...bare, views: [...computed.writes, ...(bare.views ?? [])] }
      const commit = core.commitQueue.send(whole, slot, predecessor?.commit)
      if (inline?.areShared !== true) {
        const instead = pending
        pending = { state: next, commit, chain, fate }
        slot.expect(pending, instead)
        passTurn(execution)
      }
      const outcome = await commit.outcome
      if (outcome.kind !== 'conflict') {
        // Cached before the pending state is dropped, so that the next command finds one of the two.
        core.slots.cache(slot, next)
        for (const tell of core.onStored) tell(whole)
        isStored = true
        return outcome
      }
      await checkStands(execution.call.together, outcome)
      if (inline !== undefined && (outcome.on === 'view' || outcome.on === 'generation')) await inline.retry(outcome.on, attempt)
      else if (predecessor !== undefined && (await predecessor.fate.isStored())) {
        // The predecessor was stored after all, with recomputed views, so the decision is still valid.
        on = { ...on, rows: slot.cached?.rows }
        predecessor = undefined
        attempt = 0
      } else return outcome
    }
  } finally {
    slot.settle(chain, fate, isStored)
    fate.settle(isStored)
  }
}

function appendOf(definition: AggregateDefinition, aggregateId: string, base: Loaded, decision: DecidedEvents): Append {
  const { sequence: expectedSequence, commitId: expectedCommitId } = base
  const aggregateType = definition.type
  // Copying an object by spread would cost more than the rest of the commit.
  const append: Append =
    expectedCommitId === undefined
      ? { aggregateType, aggregateId, expectedSequence, events: decision.stored }
      : { aggregateType, aggregateId, expectedSequence, expectedCommitId, events: decision.stored }
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
  const at = { aggregateType: definition.type, aggregateId, sequence }
  const unfit = definition.stateProblem(state)
  if (unfit !== undefined)
    throw new ApplyError(
      `The state of ${definition.type} '${aggregateId}' at ${sequence} does not fit stateSchema: ${unfit}.`,
      at,
    )
  try {
    return { stateVersion: definition.stateVersion, state: toJson(state) }
  } catch (error) {
    const problem = jsonProblem(error)
    throw refusing(
      new ApplyError(
        `The state of ${definition.type} '${aggregateId}' at ${sequence} cannot be stored as a snapshot: ${problem}. State must be JSON.`,
        at,
        error,
      ),
      state,
    )
  }
}
