import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { root } from './run.ts'

/** A program that runs beside the test. */
export interface Launched {
  readonly child: ChildProcess
  /** Its output so far. */
  readonly texts: { readonly out: string; readonly err: string }
  /** Resolves when it has ended. */
  readonly end: Promise<{ readonly code: number; readonly out: string; readonly err: string }>
  /** Resolves to the output that `isSaid` accepts. @throws Error with all output if the program ends before */
  says(isSaid: (out: string) => boolean): Promise<string>
}

/** Starts a program as one process, unlike the command `tsx`, so that a signal reaches it. */
export function launch(args: readonly string[], env: Readonly<Record<string, string>>): Launched {
  const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env } })
  const texts = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text) => (texts.out += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (texts.err += text))
  const closed = once(child, 'close')
  return {
    child,
    texts,
    end: closed.then(([code]) => ({ code: code as number, ...texts })),
    async says(isSaid) {
      while (!isSaid(texts.out)) {
        await Promise.race([once(child.stdout, 'data'), closed])
        if (child.exitCode !== null) throw new Error(texts.out + texts.err)
      }
      return texts.out
    },
  }
}
