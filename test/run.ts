import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { patienceMs } from './strength.ts'

/** The repository's root, with a slash at the end. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/** Both TypeScript compilers that the package supports: the oldest one and the one it is built with. */
export const compilers = {
  'TypeScript 5.9': `${root}node_modules/typescript-5.9/bin/tsc`,
  'TypeScript 7': `${root}node_modules/typescript/bin/tsc`,
} as const

export interface Outcome {
  readonly code: number
  /** Standard output and error, as they came. */
  readonly output: string
}

/** Runs a program to its end; a failing one is an outcome, not an exception. */
export function run(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string | undefined>>; timeout?: number; input?: string } = {},
): Promise<Outcome> {
  const { cwd = root, env = {}, timeout = patienceMs, input } = options
  return new Promise((resolve) => {
    const settings = { cwd, env: { ...process.env, ...env }, timeout, maxBuffer: 64 * 1024 * 1024 }
    const child = execFile(file, args, settings, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ code, output: `${stdout}${stderr}${code !== 0 && stdout === '' && stderr === '' ? error?.message : ''}` })
    })
    child.stdin?.end(input)
  })
}

/** Runs a JavaScript program on the Node that runs the tests. */
export const node: (...args: readonly string[]) => Promise<Outcome> = (...args) => run(process.execPath, args)
