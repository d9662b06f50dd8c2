import { ConflictError } from '../errors.ts'
import type { Call } from './call.ts'
import { commit } from './commit.ts'
import type { Core, WiredAggregate } from './core.ts'
import { type Decision, decide } from './decide.ts'
import { dispatch } from './dispatch.ts'
import { type Base, type Execution, passTurn, type Tally } from './execution.ts'
import { commandHash, findReplay } from './idempotency.ts'
import { loadAggregate } from './load.ts'
import type { Loaded } from './loaded.ts'
import { envelopesOf } from './new-events.ts'
import { parseCommand } from './parse-command.ts'
import { type Failed, type Refusal, Refused } from './refused.ts'
import type { Accepted, CommitResult, Rejected } from './result.ts'
import { stopwatch } from './stopwatch.ts'
import { besideOf, storeBeside } from './together.ts'

const firstRetryWaitMs = 4

/**
 * Decides and stores a command, reports it to the observer, and calls the queries with its events.
 */
export function execute(core: Core, aggregate: WiredAggregate, call: Call): Promise<Accepted | Rejected> {
  const tally: Tally = { attempts: 0 }
  const isFollowed = core.observe !== undefined || core.queries.length > 0
  return isFollowed ? executeAndReport(core, aggregate, call, tally) : decideAndStore(core, aggregate, call, tally)
}

async function executeAndReport(core: Core, aggregate: WiredAggregate, call: Call, tally: Tally): Promise<Accepted | Rejected> {
  const ms = stopwatch(core)
  const observe = (outcome: 'stored' | 'nothing' | 'rejected' | 'replayed' | 'failed', failure?: { readonly error: unknown }) =>
    core.observe?.({
      kind: 'command',
      aggregateType: aggregate.definition.type,
      aggregateId: call.aggregateId,
      command: call.command.type,
      outcome,
      attempts: tally.attempts,
      ms: ms(),
      ...failure,
    })
  try {
    const result = await decideAndStore(core, aggregate, call, tally)
    observe(!result.ok ? 'rejected' : result.replayed ? 'replayed' : result.events.length === 0 ? 'nothing' : 'stored')
    if (core.queries.length > 0 && result.ok && !result.replayed && result.events.length > 0) await dispatch(core, result.events)
    return result
  } catch (error) {
    observe('failed', { error })
    throw error
  }
}

/**
 * Attempts the command until its outcome is known. In this process, commands on one aggregate are
 * decided one at a time.
 */
async function decideAndStore(core: Core, aggregate: WiredAggregate, call: Call, tally: Tally): Promise<Accepted | Rejected> {
  const { definition } = aggregate
  const { idempotencyKey, signal } = call
  signal?.throwIfAborted()
  core.limit.enter(call)
  const slot = core.slots.use(definition.type, call.aggregateId)
  try {
    const key =
      idempotencyKey === undefined ? undefined : { idempotencyKey, commandHash: await commandHash(definition.type, call) }
    const earlier = key && (await findReplay(core, slot, definition, call, key))
    if (earlier !== undefined) return earlier
    const parsed = parseCommand(definition, call)
    // A caller that aborts right after its call wants nothing decided.
    const data = parsed instanceof Promise || signal !== undefined ? await parsed : parsed
    const randomId = core.runtime.randomUUID()
    const execution: Execution = {
      core,
      aggregate,
      call,
      tally,
      slot,
      key,
      commandId: idempotencyKey ?? call.together?.commandId ?? randomId,
      freeId: randomId,
      data,
      hasTurn: false,
      conflicts: 0,
      lost: undefined,
      beside: undefined,
    }
    for (;;) {
      const turn = slot.turns.take(signal, execution.lost !== undefined)
      if (turn !== undefined) await turn
      execution.hasTurn = true
      try {
        const result = await attempt(execution)
        if (result !== undefined) return result
      } finally {
        passTurn(execution)
      }
    }
  } finally {
    core.slots.release(slot)
    core.limit.leave()
  }
}

/** Decides the command once and stores its events. `undefined` if another writer was first. */
async function attempt(execution: Execution): Promise<Accepted | Rejected | undefined> {
  const { core, aggregate, call, tally } = execution
  const { expectedSequence, signal } = call
  let base = knownBase(execution) ?? (await freshBase(execution, execution.lost?.on ?? execution.slot.cached))
  for (;;) {
    signal?.throwIfAborted()
    let decision: Decision | Failed
    const { sequence } = base.loaded
    if (expectedSequence !== undefined && sequence !== expectedSequence)
      decision = { kind: 'failed', error: conflict(execution, expectedSequence, sequence) }
    else {
      tally.attempts++
      try {
        const { data, commandId, freeId } = execution
        const deciding = decide(core, aggregate, call, data, commandId, base.loaded, freeId)
        decision = deciding instanceof Promise ? await deciding : deciding
        if (call.together !== undefined) execution.beside = besideOf(call.together, core, decision, base.loaded)
      } catch (error) {
        decision = { kind: 'failed', error }
      }
    }
    if (decision.kind === 'events') {
      signal?.throwIfAborted()
      try {
        const outcome = await commit(execution, base, decision)
        if (outcome.kind === 'conflict') return lostRace(execution, base, outcome)
        const events = envelopesOf(decision, outcome.positions)
        return { ok: true, state: decision.state, sequence: decision.sequence, events, replayed: false }
      } catch (error) {
        decision = refusalOf(execution, base, error)
      }
    }
    const newer = await newerBase(execution, base)
    // The same command, sent twice at the same time, may have led to this state.
    if (newer === undefined) {
      const result = (await replay(execution)) ?? answer(decision, base.loaded)
      return execution.beside === undefined || (await isStoredBeside(execution)) ? result : undefined
    }
    base = newer
  }
}

/** Returns the decision that replaces one whose rows cannot be stored. Other errors pass through. */
function refusalOf(execution: Execution, { loaded }: Base, refused: unknown): Refusal {
  if (!(refused instanceof Refused)) throw refused
  const { decision } = refused
  const { core, call } = execution
  if (call.together === undefined || decision.kind === 'failed') return decision
  try {
    execution.beside = besideOf(call.together, core, decision, loaded)
    return decision
  } catch (error) {
    return { kind: 'failed', error }
  }
}

/** The base that needs no read. There is none after a race lost on a stored state. */
function knownBase({ slot: { pending, cached }, lost }: Execution): Base | undefined {
  if (pending !== undefined) return { loaded: pending.state, isFresh: false, pending }
  return cached === undefined || lost !== undefined ? undefined : { loaded: cached, isFresh: false, pending: undefined }
}

async function freshBase({ core, aggregate, call, slot }: Execution, from: Loaded | undefined): Promise<Base> {
  const { aggregateId, signal } = call
  const loaded = await loadAggregate(core, slot, { definition: aggregate.definition, aggregateId, from, signal })
  return { loaded, isFresh: true, pending: undefined }
}

/**
 * Confirms an answer that is not an append: reads the events after `base`. `undefined` if there are
 * none.
 */
async function newerBase(execution: Execution, { loaded, isFresh, pending }: Base): Promise<Base | undefined> {
  if (isFresh) return undefined
  const isReal = pending === undefined || (await pending.fate.isStored())
  const newer = await freshBase(execution, isReal ? loaded : execution.slot.cached)
  return newer.loaded === loaded ? undefined : newer
}

/** The outcome of an earlier execution under the same key, if there is one by now. */
async function replay({ core, slot, aggregate, call, key }: Execution): Promise<Accepted | undefined> {
  return key && (await findReplay(core, slot, aggregate.definition, call, key))
}

/** Stores the rows of a decision without events. Returns false if another attempt is needed. @throws Gone */
async function isStoredBeside({ core, call, beside }: Execution): Promise<boolean> {
  return call.together === undefined || beside === undefined || storeBeside(core, call.together, beside)
}

function answer(decision: Exclude<Decision, { kind: 'events' }> | Refusal, { state, sequence }: Loaded): Accepted | Rejected {
  if (decision.kind === 'failed') throw decision.error
  return decision.kind === 'rejected'
    ? { ok: false, reason: decision.rejection['~rejected'], details: decision.rejection.details }
    : { ok: true, state, sequence, events: [], replayed: false }
}

/**
 * Prepares another attempt. Only a race lost on a fresh state counts; any other state was stale.
 *
 * @throws ConflictError after too many
 */
async function lostRace(
  execution: Execution,
  { loaded, isFresh, pending }: Base,
  { on, actualSequence }: Extract<CommitResult, { kind: 'conflict' }>,
): Promise<Accepted | undefined> {
  const { core, aggregate, call, slot, tally } = execution
  if (on === 'key') {
    const first = await replay(execution)
    if (first !== undefined) return first
  }
  if (pending === undefined) slot.cached = undefined
  if (isFresh && ++execution.conflicts === core.maxAttempts) throw conflict(execution, loaded.sequence, actualSequence)
  const { type: aggregateType } = aggregate.definition
  core.observe?.({ kind: 'retry', aggregateType, aggregateId: call.aggregateId, attempt: tally.attempts, on: 'sequence' })
  execution.lost = { on: pending === undefined ? loaded : undefined }
  execution.freeId = undefined
  if (isFresh) await core.runtime.sleep(firstRetryWaitMs * 2 ** execution.conflicts * core.runtime.random(), call.signal)
  return undefined
}

function conflict({ aggregate, call, tally }: Execution, expectedSequence: number, actualSequence: number | undefined) {
  const { aggregateId, command } = call
  const { type: aggregateType } = aggregate.definition
  const { attempts } = tally
  const found = actualSequence === undefined ? 'another writer won' : `it is at ${actualSequence}`
  const problem =
    call.expectedSequence === undefined
      ? `lost the race against other writers in all ${attempts} attempts`
      : `expected sequence ${expectedSequence}, but ${found}`
  return new ConflictError(
    `${command.type} on ${aggregateType} '${aggregateId}' ${problem}. Nothing was stored. Reload and decide again.`,
    { aggregateType, aggregateId, expectedSequence, ...(actualSequence === undefined ? {} : { actualSequence }), attempts },
  )
}
