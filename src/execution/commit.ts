import type { AggregateDefinition } from '../aggregate-definition.ts'
import { ApplyError } from '../errors.ts'
import { jsonProblem, toJson } from '../json.ts'
import { refusing } from '../refusing.ts'
import type { Append, Commit } from '../store/commit.ts'
import type { Loaded } from './cache.ts'
import type { Sent } from './commit-queue.ts'
import type { Core, Send, WiredAggregate } from './core.ts'
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

/** Stores what was decided, with the snapshot that is due, the inline views and the idempotency key: all or nothing. */
export async function commit(
  core: Core,
  aggregate: WiredAggregate,
  aggregateId: string,
  base: Loaded,
  decision: DecidedEvents,
  key: Commit['key'],
  { place, below, leave }: Origin,
): Promise<Settled> {
  let settle: (stored: boolean) => void = () => {}
  const stored = new Promise<boolean>((resolve) => {
    settle = resolve
  })
  const chain = below?.chain ?? {}
  const end = (wasStored: boolean) => {
    core.underWay.leave(place, { chain, stored }, wasStored)
    settle(wasStored)
  }
  let tip: Tip | undefined
  const send = (on: Loaded, after: Tip | undefined) => {
    const sender = senderOf(core, decision, place, after, (state, sent) => {
      const next = { state, sent, chain, stored }
      core.underWay.put(place, tip, next)
      tip = next
      leave()
    })
    return sendWith(sender, aggregate, aggregateId, on, decision, key)
  }
  try {
    let outcome = await send(base, below)
    // What it was decided on was stored after all, with its views computed again: so what was decided stands, and needs no handler.
    if (outcome.kind === 'conflict' && below !== undefined && (await below.stored))
      outcome = await send({ ...base, rows: core.cache.get(place)?.rows }, undefined)
    end(outcome.kind !== 'conflict')
    return outcome
  } catch (error) {
    end(false)
    throw error
  }
}

function sendWith(
  send: Send,
  { definition, sendWithViews }: WiredAggregate,
  aggregateId: string,
  base: Loaded,
  decision: DecidedEvents,
  key: Commit['key'],
): Promise<Settled> {
  const unkeyed: Commit = { id: decision.commitId, appends: [appendOf(definition, aggregateId, base, decision)] }
  const bare = key === undefined ? unkeyed : { ...unkeyed, key }
  return sendWithViews === undefined ? send(bare, undefined, true) : sendWithViews(send, bare, aggregateId, base, decision)
}

/** What is stored goes into the cache before anybody can miss it among what is under way. */
function senderOf(
  core: Core,
  { state, sequence, commitId }: DecidedEvents,
  place: string,
  below: Tip | undefined,
  onSent: (state: Loaded, sent: Sent) => void,
): Send {
  return async (commit, rows, mayBeBuiltOn) => {
    const after = { state, sequence, commitId, rows }
    const sent = core.commitQueue.send(commit, place, below?.sent)
    if (mayBeBuiltOn) onSent(after, sent)
    const outcome = await sent.outcome
    if (outcome.kind !== 'conflict') {
      core.cache.put(place, after)
      for (const tell of core.onStored) tell(commit)
    }
    return outcome
  }
}

function appendOf(definition: AggregateDefinition, aggregateId: string, base: Loaded, decision: DecidedEvents): Append {
  const { sequence: expectedSequence, commitId: expectedCommitId } = base
  const place = { aggregateType: definition.type, aggregateId, expectedSequence, events: decision.stored }
  const append: Append = expectedCommitId === undefined ? place : { ...place, expectedCommitId }
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
