import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { root } from '../../test/run.ts'
import { type Cpu, cpuOf, spent } from './cpu.ts'
import type { Line, Measured } from './drive.ts'
import type { EventSize } from './event.ts'
import { lastLine, type Program } from './peers.ts'

export type Run = Measured & { readonly cpu?: Cpu }

export interface Played {
  readonly runs: readonly Run[]
  /** Faults in the store afterwards; must be empty. */
  readonly faults: readonly string[]
}

export interface Load {
  readonly url: string
  readonly callers: readonly number[]
  readonly seconds: number
  readonly accounts: number
  readonly event?: EventSize
}

/** Runs one round of one system in its own process. @throws Error with its last line of output */
export async function play(
  { file, args, env }: Exclude<Program, { missing: string }>,
  { event = 'small', ...load }: Load,
): Promise<Played> {
  const asked = Object.entries({ ...load, event }).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn(file, [...args, ...asked], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  let said = ''
  child.stderr.on('data', (chunk) => {
    said = (said + chunk).slice(-10_000)
  })
  const runs: Run[] = []
  let faults: readonly string[] | undefined
  let before: Cpu | undefined
  for await (const text of createInterface({ input: child.stdout })) {
    if (!text.startsWith('{')) continue
    const line = JSON.parse(text) as Line
    if ('begin' in line) before = cpuOf(child.pid)
    else if ('faults' in line) faults = line.faults
    else {
      const after = cpuOf(child.pid)
      const cpu = before && after && spent(before, after)
      runs.push(cpu === undefined ? line : { ...line, cpu })
    }
  }
  const code = await closed
  if (code !== 0 || faults === undefined) throw new Error(firstError(said) ?? `It ended with ${code}.`)
  return { runs, faults }
}

const firstError = (said: string): string | undefined =>
  said.split('\n').find((line) => /error|panicked/i.test(line)) ?? (said === '' ? undefined : lastLine(said))
