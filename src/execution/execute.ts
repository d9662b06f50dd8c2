import { ConflictError } from '../errors.ts'
import { cacheKey, type Loaded } from './cache.ts'
import type { Call } from './call.ts'
import { commit } from './commit.ts'
import type { Core, WiredAggregate } from './core.ts'
import { type DecidedEvents, type Decision, decide } from './decide.ts'
import { dispatch } from './dispatch.ts'
import { commandHash, findReplay } from './idempotency.ts'
import { loadAggregate } from './load.ts'
import { envelopesOf } from './new-events.ts'
import { parseCommand } from './parse-command.ts'
import type { Accepted, Committed, Rejected } from './result.ts'
import { stopwatch } from './stopwatch.ts'

const firstRetryWaitMs = 4

/** How often a command was decided, for whoever observes. */
interface Tally {
  attempts: number
}

/** The life of a command: one at a time for each aggregate of this process, then the queries. */
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
    const place = cacheKey(aggregate.definition.type, call.aggregateId)
    const result = await core.aggregateQueue.run(place, () => settle(core, aggregate, call, place, tally), call.signal)
    observe(!result.ok ? 'rejected' : result.replayed ? 'replayed' : result.events.length === 0 ? 'nothing' : 'stored')
    if (core.queries.length > 0 && result.ok && !result.replayed && result.events.length > 0) await dispatch(core, result.events)
    return result
  } catch (error) {
    observe('failed', { error })
    throw error
  }
}

async function settle(
  core: Core,
  aggregate: WiredAggregate,
  call: Call,
  place: string,
  tally: Tally,
): Promise<Accepted | Rejected> {
  const { definition } = aggregate
  const { aggregateId, idempotencyKey, expectedSequence, signal } = call
  const key = idempotencyKey === undefined ? undefined : { idempotencyKey, commandHash: await commandHash(definition.type, call) }
  const replay = async () => key && (await findReplay(core, aggregate, call, key.idempotencyKey, key.commandHash))
  const earlier = await replay()
  if (earlier !== undefined) return earlier
  const data = await parseCommand(definition, call)
  const commandId = idempotencyKey ?? core.runtime.randomUUID()

  const load = (from?: Loaded) => loadAggregate(core, { definition, aggregateId, from, signal })
  const cached = core.cache.get(place)
  let base = cached ?? (await load())
  let fresh = cached === undefined
  /** Reads what came after `base`; true when it had been behind. */
  const wasBehind = async () => {
    if (fresh) return false
    const before = base
    base = await load(before)
    fresh = true
    return base !== before
  }

  // A race lost on a cached state is none: that state was old. It is not counted.
  for (let conflicts = 0; ; ) {
    signal?.throwIfAborted()
    if (expectedSequence !== undefined && base.sequence !== expectedSequence) {
      if (await wasBehind()) continue
      throw conflict(call, aggregate, tally, expectedSequence, base.sequence)
    }
    tally.attempts++
    let decision: Decision
    try {
      decision = await decide(core, aggregate, call, data, commandId, base)
    } catch (error) {
      if (await wasBehind()) continue
      throw error
    }
    if (decision.kind !== 'events') {
      if (await wasBehind()) continue
      return answer(decision, base)
    }
    signal?.throwIfAborted()
    const stored = await commit(core, aggregate, aggregateId, base, decision, key)
    if (stored.kind !== 'conflict') return accept(core, place, decision, stored)
    if (stored.on === 'key') {
      const first = await replay()
      if (first !== undefined) return first
    }
    core.cache.drop(place)
    if (fresh && conflicts++ === core.retries) throw conflict(call, aggregate, tally, base.sequence, stored.actualSequence)
    core.observe?.({ kind: 'retry', aggregateType: definition.type, aggregateId, attempt: tally.attempts, on: 'sequence' })
    if (fresh) await core.runtime.sleep(firstRetryWaitMs * 2 ** conflicts * core.runtime.random(), signal)
    base = await reload(core, place, base, load)
    fresh = true
  }
}

/** What came after a lost race. When nothing did, the state itself was wrong (an older copy of the database): start from the store alone. */
async function reload(core: Core, place: string, base: Loaded, load: (from?: Loaded) => Promise<Loaded>) {
  const next = await load(base)
  if (next !== base) return next
  core.cache.drop(place)
  return load()
}

const answer = (decision: Exclude<Decision, { kind: 'events' }>, base: Loaded): Accepted | Rejected =>
  decision.kind === 'rejected'
    ? { ok: false, reason: decision.rejection['~rejected'], details: decision.rejection.details }
    : { ok: true, state: base.state, sequence: base.sequence, events: [], replayed: false }

function accept(
  core: Core,
  place: string,
  decision: DecidedEvents,
  { positions, rows }: Exclude<Committed, { kind: 'conflict' }>,
): Accepted {
  const { state, sequence } = decision
  core.cache.put(place, { state, sequence, rows })
  return {
    ok: true,
    state,
    sequence,
    events: envelopesOf(decision, positions),
    replayed: false,
  }
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
