import { ApplyError } from '../errors.ts'
import type { Append, Commit } from '../store/commit.ts'
import { jsonProblem, toJson } from '../util/json.ts'
import { refusing } from '../util/refusing.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'
import type { Loaded } from './cache.ts'
import type { Core, InlineRows, WiredAggregate } from './core.ts'
import type { DecidedEvents } from './decide.ts'
import type { Settled } from './result.ts'
import type { Tip } from './under-way.ts'

/** Where a commit comes from. */
export interface Origin {
  /** Names its aggregate. */
  readonly place: string
  /** What it builds on that is still under way. */
  readonly below: Tip | undefined
  /** Lets the next command on the aggregate be decided. */
  readonly leave: () => void
}

/** Stores decided events, with the snapshot that is due, the inline views and the idempotency key: all or nothing. */
export async function commit(
  core: Core,
  { definition, inlineViews }: WiredAggregate,
  aggregateId: string,
  base: Loaded,
  decision: DecidedEvents,
  key: Commit['key'],
  origin: Origin,
): Promise<Settled> {
  const inline = inlineViews?.(aggregateId, decision)
  const { commitId: id } = decision
  const appends = [appendOf(definition, aggregateId, base, decision)]
  const bare: Commit = key === undefined ? { id, appends } : { id, appends, key }
  let resolve: (stored: boolean) => void = () => {}
  const stored = new Promise<boolean>((settle) => {
    resolve = settle
  })
  const chain = origin.below?.chain ?? {}
  const send = () => sendUntilSettled(core, bare, inline, base, decision, { ...origin, chain, stored })
  let wasStored = false
  try {
    const outcome = await (inline === undefined ? send() : inline.exclusively(send))
    wasStored = outcome.kind !== 'conflict'
    return outcome
  } finally {
    core.underWay.leave(origin.place, { chain, stored }, wasStored)
    resolve(wasStored)
  }
}

/** Sends a commit again while nothing but a row of an inline view, or a failed predecessor, is in its way. */
async function sendUntilSettled(
  core: Core,
  bare: Commit,
  inline: InlineRows | undefined,
  base: Loaded,
  { state, sequence, commitId }: DecidedEvents,
  { place, below, leave, chain, stored }: Origin & Pick<Tip, 'chain' | 'stored'>,
): Promise<Settled> {
  let on = base
  let after = below
  let tip: Tip | undefined
  for (let attempt = 1; ; attempt++) {
    const computed = inline && (await inline.compute(on, attempt))
    const commit = computed === undefined ? bare : { ...bare, views: computed.writes }
    const next = { state, sequence, commitId, rows: inline === undefined ? on.rows : computed?.rows }
    const sent = core.commitQueue.send(commit, place, after?.sent)
    if (inline?.areShared !== true) {
      const pending: Tip = { state: next, sent, chain, stored }
      core.underWay.put(place, tip, pending)
      tip = pending
      leave()
    }
    const outcome = await sent.outcome
    if (outcome.kind !== 'conflict') {
      // Into the cache before the pending state is dropped, so that the next command finds one of the two.
      core.cache.put(place, next)
      for (const tell of core.onStored) tell()
      return outcome
    }
    if (inline !== undefined && (outcome.on === 'view' || outcome.on === 'generation')) await inline.retry(outcome.on, attempt)
    else if (after !== undefined && (await after.stored)) {
      // The predecessor was stored after all, with views that were computed again: the decision still holds.
      on = { ...base, rows: core.cache.get(place)?.rows }
      after = undefined
      attempt = 0
    } else return outcome
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
