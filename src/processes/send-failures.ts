import { storable } from '../consumers/stopped.ts'
import { retryWaitMs } from '../due/back-off.ts'
import { wouldFailAgain } from '../due/command-errors.ts'
import { messageOf } from '../errors.ts'
import { onFailed, StepFailed, stuckAt } from './decide-step.ts'
import type { InstanceRow, PendingSend } from './instance-row.ts'
import { type Running, saveInstance, type WorkCore } from './work-core.ts'

export const isPermanent = (error: unknown): boolean => error instanceof StepFailed || wouldFailAgain(error)

/** Leaves an instance stuck at its first send. */
export function stickSend(work: WorkCore, row: Running, error: unknown): Promise<Running | undefined> {
  const at = String((row.value.todo[0] as PendingSend).n)
  const stuckSend = stuckAt(at, error, work.core.runtime.now().toISOString(), storable)
  return saveInstance(work, row, { ...row.value, stuckSend }, { at, error })
}

/** Counts a failed attempt of the first send: it is retried later, or has failed for good. */
export async function countFailure(work: WorkCore, row: Running, error: unknown): Promise<Running | undefined> {
  const { core, process } = work
  const [head, ...todo] = row.value.todo as [PendingSend, ...PendingSend[]]
  const now = core.runtime.now().getTime()
  const tries = head.tries + 1
  const { notBefore: _, ...send } = head
  const tried: InstanceRow = { ...row.value, todo: [{ ...send, tries, error: storable(messageOf(error), 1_000) }, ...todo] }
  const at = String(head.n)
  if (tries < process.attempts) {
    const [first] = tried.todo as [PendingSend]
    const notBefore = new Date(now + retryWaitMs(tries)).toISOString()
    return saveInstance(work, row, { ...tried, todo: [{ ...first, notBefore }, ...todo] }, { at, error })
  }
  const stuck = stuckAt(at, error, new Date(now).toISOString(), storable)
  if (process.failed === undefined || tried.ended !== undefined)
    return saveInstance(work, row, { ...tried, stuckSend: stuck }, { at, error })
  try {
    return await saveInstance(work, row, onFailed(process, row.id, tried, stuck, now), { at, error })
  } catch (failure) {
    if (!(failure instanceof StepFailed)) throw failure
    return stickSend(work, { ...row, value: tried }, failure)
  }
}
