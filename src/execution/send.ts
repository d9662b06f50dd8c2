import { CqrsError, messageOf, OutcomeUnknownError, StoreError } from '../errors.ts'
import type { Commit, CommitOutcome } from '../store/commit.ts'
import type { Core, Send } from './core.ts'
import { stopwatch } from './stopwatch.ts'

const resends = 5
const firstWaitMs = 50

/**
 * Sends one commit until its fate is known. After an unknown outcome only the same commit, sent again, can tell: reading back "not there" proves
 * nothing, since the first may still land. So from then on a certain failure is no answer either.
 *
 * The result is made once per commit id and may be called again with other views.
 * @throws StoreError when it was surely not stored, OutcomeUnknownError
 */
export function sender(core: Core, aggregateType: string, aggregateId: string): Send {
  let unknown = false
  return async (commit) => {
    for (let sent = 0; ; sent++) {
      const outcome = await append(core, commit, aggregateType, aggregateId)
      if (outcome.kind !== 'failed') return outcome
      unknown ||= !outcome.certain
      if (!unknown) throw storeFailure(outcome.cause, `Storing events of ${aggregateType} '${aggregateId}' failed`)
      if (sent === resends)
        throw new OutcomeUnknownError(
          `It is not known whether the events of ${aggregateType} '${aggregateId}' (commit ${commit.id}) were stored: the store could not be reached again. ${advice(commit)}`,
          outcome.cause,
        )
      core.observe?.({ kind: 'retry', aggregateType, aggregateId, attempt: sent + 1, on: 'unknown-outcome' })
      await core.runtime.sleep(firstWaitMs * 2 ** sent * (0.5 + core.runtime.random()))
    }
  }
}

const advice = ({ key }: Commit): string =>
  key === undefined
    ? 'The command had no idempotencyKey: before it is repeated, look for events with this commitId.'
    : `Repeat the command with the same idempotencyKey ('${key.idempotencyKey}').`

async function append(core: Core, commit: Commit, aggregateType: string, aggregateId: string): Promise<CommitOutcome> {
  const ms = stopwatch(core)
  let outcome: CommitOutcome
  try {
    const [only] = await core.store.append([commit])
    if (only === undefined) throw new StoreError('STORE_FAILED', 'The store gave no outcome.')
    outcome = only
  } catch (cause) {
    outcome = { kind: 'failed', certain: false, cause }
  }
  core.observe?.({
    kind: 'append',
    aggregateType,
    aggregateId,
    commitId: commit.id,
    events: commit.appends.reduce((sum, { events }) => sum + events.length, 0),
    outcome: outcome.kind,
    ms: ms(),
  })
  return outcome
}

/** The framework's own errors as they are, a driver's inside a `StoreError`. */
const storeFailure = (cause: unknown, what: string): CqrsError =>
  cause instanceof CqrsError ? cause : new StoreError('STORE_FAILED', `${what}: ${messageOf(cause)}`, cause)
