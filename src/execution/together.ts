import type { ViewWrite } from '../store/commit.ts'
import { placeOfOne } from './commit-queue.ts'
import type { Core } from './core.ts'
import type { Decision } from './decide.ts'
import type { Decided, Together } from './decided.ts'
import type { Loaded } from './loaded.ts'
import { envelopesOf } from './new-events.ts'
import type { CommitResult } from './result.ts'

/** The rows of one decision, and the id of the commit that stores them. */
export interface Beside {
  readonly commitId: string
  readonly views: readonly ViewWrite[]
}

/** Another writer has moved the rows: the command was not stored, and never will be. */
export class Gone extends Error {}

/** Returns the rows for a decision. */
export function besideOf(together: Together, core: Core, decision: Decision, { state }: Loaded): Beside {
  if (decision.kind === 'events') {
    const { commitId } = decision
    return { commitId, views: together.rows({ ok: true, events: envelopesOf(decision), state: decision.state }, commitId) }
  }
  const commitId = core.runtime.randomUUID()
  const decided: Decided =
    decision.kind === 'rejected'
      ? { ok: false, reason: decision.rejection['~rejected'], details: decision.rejection.details }
      : { ok: true, events: [], state }
  return { commitId, views: together.rows(decided, commitId) }
}

/** Ends the command if its rows have moved. @throws Gone */
export async function checkStands(together: Together | undefined, outcome: CommitResult): Promise<void> {
  if (together === undefined || outcome.kind !== 'conflict') return
  if ((outcome.on === 'view' || outcome.on === 'sequence') && !(await together.stands())) throw new Gone()
}

/** Stores the rows of a decision without events. Returns false if it must be repeated. @throws Gone */
export async function storeBeside(core: Core, together: Together, { commitId: id, views }: Beside): Promise<boolean> {
  const outcome = await core.commitQueue.send({ id, appends: [], views }, placeOfOne(), undefined).outcome
  await checkStands(together, outcome)
  return outcome.kind !== 'conflict'
}
