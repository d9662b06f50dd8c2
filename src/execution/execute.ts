import { ConflictError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { Commit } from '../store/commit.ts'
import { aggregateKey } from '../util/names.ts'
import type { Loaded } from './cache.ts'
import type { Call } from './call.ts'
import { commit } from './commit.ts'
import type { Core, WiredAggregate } from './core.ts'
import { type DecidedEvents, type Decision, decide } from './decide.ts'
import { dispatch } from './dispatch.ts'
import { commandHash, findReplay } from './idempotency.ts'
import { loadAggregate } from './load.ts'
import { envelopesOf } from './new-events.ts'
import { parseCommand } from './parse-command.ts'
import type { Accepted, Rejected } from './result.ts'
import { stopwatch } from './stopwatch.ts'

const firstRetryWaitMs = 4

/** How often a command was decided, for whoever observes. */
interface Tally {
  attempts: number
}

/** The life of a command. Commands on one aggregate are decided one after another in this process; then the queries. */
export async function execute(core: Core, aggregate: WiredAggregate, call: Call): Promise<Accepted | Rejected> {
  const tally: Tally = { attempts: 0 }
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
    call.signal?.throwIfAborted()
    core.gate.enter(call)
    let result: Accepted | Rejected
    try {
      result = await settle(core, aggregate, call, tally)
    } finally {
      core.gate.leave()
    }
    observe(!result.ok ? 'rejected' : result.replayed ? 'replayed' : result.events.length === 0 ? 'nothing' : 'stored')
    if (core.queries.length > 0 && result.ok && !result.replayed && result.events.length > 0) await dispatch(core, result.events)
    return result
  } catch (error) {
    observe('failed', { error })
    throw error
  }
}

/** What the attempts of one command share. */
interface Attempts {
  readonly place: string
  readonly tally: Tally
  readonly key: Commit['key']
  /** What an execution under the same key has come to by now. */
  readonly replay: () => Promise<Accepted | undefined>
  readonly commandId: string
  readonly data: unknown
  /** Races lost on a state that was fresh. */
  conflicts: number
  /** A race was lost, on this state where it was one from the store. */
  lost: { readonly on: Loaded | undefined } | undefined
}

async function settle(core: Core, aggregate: WiredAggregate, call: Call, tally: Tally): Promise<Accepted | Rejected> {
  const { definition } = aggregate
  const { idempotencyKey, signal } = call
  const key = idempotencyKey === undefined ? undefined : { idempotencyKey, commandHash: await commandHash(definition.type, call) }
  const replay = async () => key && (await findReplay(core, aggregate, call, key.idempotencyKey, key.commandHash))
  const earlier = key && (await replay())
  if (earlier !== undefined) return earlier
  const parsed = parseCommand(definition, call)
  // A caller that aborts right after its call wants nothing decided.
  const data = parsed instanceof Promise || signal !== undefined ? await parsed : parsed
  const place = aggregateKey(definition.type, call.aggregateId)
  const commandId = idempotencyKey ?? core.runtime.randomUUID()
  const attempts: Attempts = { place, tally, key, replay, commandId, data, conflicts: 0, lost: undefined }
  for (;;) {
    const once = (leave: () => void) => attempt(core, aggregate, call, attempts, leave)
    const result = await core.aggregateQueue.run(place, once, signal, { again: attempts.lost !== undefined })
    if (result !== undefined) return result
  }
}

/**
 * Decides the command once, and sends what was decided; from then on the next command on the aggregate may be decided, on the state that this one leads to. `undefined`
 * when the race was lost.
 */
async function attempt(
  core: Core,
  aggregate: WiredAggregate,
  call: Call,
  attempts: Attempts,
  leave: () => void,
): Promise<Accepted | Rejected | undefined> {
  const { definition } = aggregate
  const { aggregateId, expectedSequence, signal } = call
  const { place, tally, key, replay } = attempts
  const load = (from?: Loaded) => loadAggregate(core, { definition, aggregateId, from, signal })
  let below = core.underWay.get(place)
  const known = below === undefined && attempts.lost === undefined ? core.cache.get(place) : undefined
  let base = below?.state ?? known ?? (await load(attempts.lost?.on ?? core.cache.get(place)))
  let fresh = below === undefined && known === undefined
  /** Reads what came after `base`, once that is stored; true when it had been behind, or never was. */
  const wasBehind = async () => {
    if (fresh) return false
    const before = base
    base = below === undefined || (await below.stored) ? await load(before) : await load(core.cache.get(place))
    below = undefined
    fresh = true
    return base !== before
  }

  for (;;) {
    signal?.throwIfAborted()
    if (expectedSequence !== undefined && base.sequence !== expectedSequence) {
      if (await wasBehind()) continue
      return (await replay()) ?? raise(conflict(call, aggregate, tally, expectedSequence, base.sequence))
    }
    tally.attempts++
    let decision: Decision
    try {
      const deciding = decide(core, aggregate, call, attempts.data, attempts.commandId, base)
      decision = deciding instanceof Promise ? await deciding : deciding
    } catch (error) {
      if (await wasBehind()) continue
      return (await replay()) ?? raise(error)
    }
    if (decision.kind !== 'events') {
      if (await wasBehind()) continue
      // The command itself may have led to this state, sent twice at the same time: then the first one's outcome is the answer.
      return (await replay()) ?? answer(decision, base)
    }
    signal?.throwIfAborted()
    const stored = await commit(core, aggregate, aggregateId, base, decision, key, { place, below, leave })
    if (stored.kind !== 'conflict') return accepted(decision, stored.positions)
    if (stored.on === 'key') {
      const first = await replay()
      if (first !== undefined) return first
    }
    // A race lost on a cached state, or on one that was never stored, is none: that state was old. It is not counted.
    if (below === undefined) core.cache.drop(place)
    if (fresh && attempts.conflicts++ === core.retries)
      throw conflict(call, aggregate, tally, base.sequence, stored.actualSequence)
    core.observe?.({ kind: 'retry', aggregateType: definition.type, aggregateId, attempt: tally.attempts, on: 'sequence' })
    attempts.lost = { on: below === undefined ? base : undefined }
    if (fresh) await core.runtime.sleep(firstRetryWaitMs * 2 ** attempts.conflicts * core.runtime.random(), signal)
    return undefined
  }
}

function raise(error: unknown): never {
  throw error
}

const answer = (decision: Exclude<Decision, { kind: 'events' }>, base: Loaded): Accepted | Rejected =>
  decision.kind === 'rejected'
    ? { ok: false, reason: decision.rejection['~rejected'], details: decision.rejection.details }
    : { ok: true, state: base.state, sequence: base.sequence, events: [], replayed: false }

function accepted(decision: DecidedEvents, positions: readonly Position[]): Accepted {
  const { state, sequence } = decision
  return { ok: true, state, sequence, events: envelopesOf(decision, positions), replayed: false }
}

function conflict(
  call: Call,
  { definition }: WiredAggregate,
  { attempts }: Tally,
  expectedSequence: number,
  actualSequence: number | undefined,
) {
  const { aggregateId, command } = call
  const found = actualSequence === undefined ? 'another writer was first' : `it is at ${actualSequence}`
  const problem =
    call.expectedSequence === undefined
      ? `was decided ${attempts} times, and each time another writer was first`
      : `expected sequence ${expectedSequence}, but ${found}`
  return new ConflictError(
    `${command.type} on ${definition.type} '${aggregateId}' ${problem}. Nothing was stored; load again and decide anew.`,
    {
      aggregateType: definition.type,
      aggregateId,
      expectedSequence,
      ...(actualSequence === undefined ? {} : { actualSequence }),
      attempts,
    },
  )
}
