import { HandlerCall } from '../consumers/handler-call.ts'
import { ValidationError } from '../errors.ts'
import type { Parser } from '../evolution/schema.ts'
import { stopwatch } from '../execution/stopwatch.ts'
import { whenAborted } from '../util/abort.ts'
import { sha256 } from '../util/digest.ts'
import { issuesText } from '../util/issues.ts'
import { deepFreeze, jsonProblem, NotJson, toJson } from '../util/json.ts'
import { refusing } from '../util/refusing.ts'
import { onReply, StepFailed } from './decide-step.ts'
import type { CallDefinition } from './definition.ts'
import type { PendingSend } from './instance-row.ts'
import { metadataOf, sendId } from './send-command.ts'
import { countFailure, stickSend } from './send-failures.ts'
import { type Running, readInstance, saveInstance, type WorkCore } from './work-core.ts'

/**
 * Makes the first call of an instance, and stores the decision on its result. Returns `undefined` if
 * another worker has moved the instance.
 */
export async function makeCall(
  work: WorkCore,
  row: Running,
  send: PendingSend,
  signal: AbortSignal,
): Promise<Running | undefined> {
  if (!send.begun) return begin(work, row, send)
  // Another worker may have stored the result since the instance was read.
  if ((await readInstance(work, row.id)).version !== row.version) return undefined
  const call = work.process.calls.get(send.call as string)
  if (call?.make === undefined)
    return stickSend(
      work,
      row,
      new StepFailed(`This program has no call '${send.call}'. Deploy a program that has it, then call resume().`),
    )
  let result: unknown
  try {
    result = await resultOf(work, row, send, call, signal)
  } catch (error) {
    if (signal.aborted) throw signal.reason
    return error instanceof ValidationError && !work.isForeign(error)
      ? stickSend(work, row, error)
      : countFailure(work, row, error)
  }
  return storeResult(work, row, send, result)
}

/** Notes that the call may have been made, so that `instead` does not drop it. */
function begin(work: WorkCore, row: Running, send: PendingSend): Promise<Running | undefined> {
  const todo = [{ ...send, begun: true as const }, ...row.value.todo.slice(1)]
  return saveInstance(work, row, { ...row.value, todo })
}

/** Stores the result, also if an event has changed the instance meanwhile. */
async function storeResult(work: WorkCore, first: Running, { n }: PendingSend, result: unknown): Promise<Running | undefined> {
  for (let row = first; ; ) {
    let next = row.value
    try {
      next = onReply(work.process, row.id, row.value, { ok: true, result }, work.core.runtime.now().getTime())
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error
      return stickSend(work, row, error)
    }
    const saved = await saveInstance(work, row, next, { at: String(n) })
    if (saved !== undefined) return saved
    const found = await readInstance(work, row.id)
    if (found.value?.todo[0]?.n !== n) return undefined
    row = found as Running
  }
}

/** Makes the call within its time limit. @throws ValidationError for data that does not fit its schema */
async function resultOf(
  work: WorkCore,
  row: Running,
  send: PendingSend,
  { input, output, make }: CallDefinition,
  outer: AbortSignal,
): Promise<unknown> {
  const { core, process } = work
  const at = `The call '${send.call}' of process '${process.name}'`
  const key = await sha256(sendId(process.name, row.id, send))
  const attempt = send.tries + 1
  const metadata = Object.freeze(metadataOf(process.name, row.id, row.value, send))
  const ms = stopwatch(core)
  const observe = (failure: { readonly error?: unknown } = {}) =>
    core.observe?.({
      kind: 'call',
      process: process.name,
      instance: row.id,
      call: send.call as string,
      key,
      attempt,
      ms: ms(),
      ...failure,
    })
  try {
    const data = await parsed(input, send.data, `${at} has unfit data`)
    const handler = new HandlerCall(core, `The process '${process.name}'`)
    try {
      const result = await limited(work, outer, async (signal) =>
        handler.run(() => make?.(data, { key, attempt, signal, metadata })),
      )
      observe()
      return deepFreeze(await parsed(output, jsonResult(at, result), `${at} returned an unfit result`))
    } finally {
      handler.end()
    }
  } catch (error) {
    observe({ error })
    throw error
  }
}

function jsonResult(at: string, result: unknown): unknown {
  try {
    return result === undefined ? undefined : toJson(result, { dates: true })
  } catch (error) {
    if (!(error instanceof NotJson)) throw error
    throw refusing(new ValidationError(`${at} returned a result that is not JSON: ${jsonProblem(error)}.`), result)
  }
}

async function parsed(parser: Parser, value: unknown, problem: string): Promise<unknown> {
  const result = await parser.parse(value)
  if (result.issues !== undefined) throw new ValidationError(`${problem}: ${issuesText(result.issues)}.`, result.issues)
  return result.value
}

/** A call that runs longer cannot be stopped, only ignored. */
async function limited(
  { core, process: { timeoutMs } }: WorkCore,
  outer: AbortSignal,
  run: (signal: AbortSignal) => Promise<unknown>,
): Promise<unknown> {
  const ending = new AbortController()
  const waits = new AbortController()
  const forget = whenAborted(outer, () => ending.abort(outer.reason))
  if (outer.aborted) ending.abort(outer.reason)
  const limit = core.runtime.sleep(timeoutMs, waits.signal).then(
    () => {
      const tooLong = new Error(`The call did not end within ${timeoutMs} ms.`)
      ending.abort(tooLong)
      throw tooLong
    },
    () => new Promise<never>(() => {}),
  )
  const stopped = new Promise<never>((_, reject) => {
    ending.signal.addEventListener('abort', () => reject(ending.signal.reason), { once: true })
  })
  stopped.catch(() => {})
  try {
    return await Promise.race([run(ending.signal), limit, stopped])
  } finally {
    waits.abort()
    forget()
  }
}
