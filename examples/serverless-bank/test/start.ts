import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { bundledProgram } from '../../../test/program.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))

export interface Started {
  readonly child: ChildProcess
  readonly url: string
  /** Its output so far. */
  readonly output: { readonly out: string; readonly err: string }
  readonly exited: Promise<readonly [code: number | null, signal: string | null]>
}

/**
 * Runs `npm run serverless:local` as one process, so that a signal reaches it. Resolves when the
 * bank is open or the process has ended.
 */
export async function startBank(env: Readonly<Record<string, string>>): Promise<Started> {
  const args = [await bundledProgram(fileURLToPath(new URL('../local/run.ts', import.meta.url)))]
  const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, PORT: '0', NODE_NO_WARNINGS: '1', ...env } })
  const output = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    output.err += text
  })
  const exited = once(child, 'close').then(([code, signal]) => [code, signal] as const)
  while (!output.out.includes('/_local/queue')) {
    await Promise.race([once(child.stdout, 'data'), exited])
    if (child.exitCode !== null) break
  }
  return { child, url: /http:\/\/127\.0\.0\.1:\d+/.exec(output.out)?.[0] ?? '', output, exited }
}
