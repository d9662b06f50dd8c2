import { isOutage } from '../due/command-errors.ts'
import { callTogether } from '../execution/call.ts'
import type { Together } from '../execution/decided.ts'
import { Gone } from '../execution/together.ts'
import { onReply, StepFailed } from './decide-step.ts'
import type { InstanceRow, PendingSend } from './instance-row.ts'
import { countFailure, isPermanent, stickSend } from './send-failures.ts'
import { noteSaved, type Running, readInstance, stamped, type WorkCore } from './work-core.ts'

/** Metadata of what a process sends. */
export const metadataOf = (process: string, id: string, { correlationId }: InstanceRow, { cause }: PendingSend) => ({
  correlationId,
  causationId: cause,
  process: `${process}/${id}`,
})

/** Returns the id of a send, which is the same for each attempt. */
export const sendId = (process: string, id: string, { n }: PendingSend): string => `process/${process}/${id}/${n}`

/**
 * Executes the first command of an instance. The command, or the record of its rejection, is stored
 * in one commit with the decision on the reply. Returns `undefined` if another worker has moved the
 * instance.
 */
export async function sendCommand(
  work: WorkCore,
  row: Running,
  send: PendingSend,
  signal: AbortSignal,
): Promise<Running | undefined> {
  const { core, process, rows, execute } = work
  const { id, value } = row
  let next = value
  let failure: StepFailed | undefined
  const together: Together = {
    commandId: sendId(process.name, id, send),
    rows: (decided, commitId) => {
      failure = undefined
      try {
        next = stamped(work, onReply(process, id, value, decided, core.runtime.now().getTime()), commitId)
      } catch (error) {
        if (error instanceof StepFailed) failure = error
        throw error
      }
      return [rows.write(row, next)]
    },
    stands: async () => (await readInstance(work, id)).version === row.version,
  }
  const { to = '', id: aggregateId = '', type = '', data } = send
  const command = data === undefined ? { type } : { type, data }
  try {
    const metadata = metadataOf(process.name, id, value, send)
    await execute(to, callTogether({ aggregateId, command, metadata, signal, together }))
    return noteSaved(work, row, next, { at: String(send.n) })
  } catch (error) {
    if (error instanceof Gone) return movedOrOwn(work, row, next, send)
    if (signal.aborted) throw error
    if (error === failure) return stickSend(work, row, error)
    if (work.isForeign(error)) return countFailure(work, row, error)
    if (isOutage(error)) throw error
    return isPermanent(error) ? stickSend(work, row, error) : countFailure(work, row, error)
  }
}

/** The answer to an earlier send of the same commit may have been lost. */
function movedOrOwn(work: WorkCore, row: Running, next: InstanceRow, send: PendingSend): Running | undefined {
  const found = work.instances.get(row.id)?.value
  return found?.by === next.by ? noteSaved(work, row, next, { at: String(send.n) }) : undefined
}
