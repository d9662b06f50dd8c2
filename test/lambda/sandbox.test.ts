import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { bundledProgram } from '../program.ts'

/** A sandbox that answers each line with the next. */
async function startSandbox() {
  const program = await bundledProgram(fileURLToPath(new URL('sandbox.ts', import.meta.url)))
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] })
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve))
  return {
    child,
    ended,
    async invoke(timeLimitMs: number) {
      child.stdin.write(`${timeLimitMs}\n`)
      return JSON.parse((await answers.next()).value ?? '{"ended":true}') as unknown
    },
  }
}

/** What the n-th invocation answers: each stores one event, follows it, and reads it. */
const answerOf = (nth: number) => ({
  queued: { batchItemFailures: [] },
  followed: { batchItemFailures: [] },
  drained: { caughtUp: true, events: 0 },
  body: `{"state":{"total":${nth}},"sequence":${nth}}`,
  seen: Array.from({ length: nth }, (_, i) => `counter/a/${i + 1}`),
  aborted: 0,
  timers: [],
})

test('a process exits after the answer because no work keeps it alive', async () => {
  const { child, ended, invoke } = await startSandbox()
  try {
    expect(await invoke(900_000)).toEqual(answerOf(1))
    child.stdin.end()
    expect(await ended).toBe(0)
  } finally {
    child.kill('SIGKILL')
  }
})

test('a process that was frozen past the time of an invocation serves the next one', async () => {
  const { child, ended, invoke } = await startSandbox()
  try {
    expect(await invoke(3_000)).toEqual(answerOf(1))
    child.kill('SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, 3_500))
    child.kill('SIGCONT')
    expect(await invoke(60_000)).toEqual(answerOf(2))
    expect(await invoke(60_000)).toEqual(answerOf(3))
    child.stdin.end()
    expect(await ended).toBe(0)
  } finally {
    child.kill('SIGKILL')
  }
})
