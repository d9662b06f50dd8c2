import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { bundledProgram } from '../../program.ts'
import { root } from '../../run.ts'
import { atStrength } from '../../strength.ts'
import type { Deployed } from './deployed.ts'
import type { Task } from './program.ts'

/** Writers pause this many times longer than a task says: only at full strength they keep all processors busy. */
const pace = atStrength({ moderate: 4, full: 1 })

/** A process that does a task. */
export interface Worker {
  readonly pid: number
  readonly child: ChildProcess
  /** What it has said so far, but for `ready`. */
  readonly lines: readonly string[]
  /** How it ended: 0, another code, or a signal. */
  readonly ended: Promise<number | NodeJS.Signals | null>
  /** Lets it come to its end. @throws Error when that is not a good one */
  stop(): Promise<readonly string[]>
  kill(): Promise<void>
}

/** Processes of one program, and a folder for what they write down. */
export class Workers {
  readonly folder: string
  readonly #program: string
  readonly #running = new Set<Worker>()

  private constructor(folder: string, program: string) {
    this.folder = folder
    this.#program = program
  }

  static async build(program = 'program.ts'): Promise<Workers> {
    const folder = await mkdtemp(join(tmpdir(), 'cqrs-es-following-'))
    return new Workers(folder, await bundledProgram(join(root, 'test/crash/following', program)))
  }

  /** Resolves when the process is ready. */
  async start(task: Task | Deployed, flags: readonly string[] = []): Promise<Worker> {
    const paced = { ...task, ...(task.pauseMs !== undefined && { pauseMs: task.pauseMs * pace }) }
    const child = spawn(process.execPath, [...flags, this.#program, JSON.stringify(paced)], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const lines: string[] = []
    let errors = ''
    child.stderr.on('data', (chunk) => {
      errors += chunk
    })
    child.stdin.on('error', () => {})
    const ended = new Promise<number | NodeJS.Signals | null>((resolve) =>
      child.once('close', (code, signal) => {
        this.#running.delete(worker)
        resolve(code ?? signal)
      }),
    )
    const worker: Worker = {
      pid: child.pid as number,
      child,
      lines,
      ended,
      stop: async () => {
        child.stdin.end()
        const end = await ended
        if (end !== 0) throw new Error(`The process to ${task.does} ended with ${end}:\n${errors}`)
        return lines
      },
      kill: async () => {
        child.kill('SIGKILL')
        await ended
      },
    }
    this.#running.add(worker)
    await new Promise<void>((resolve) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line === 'ready') resolve()
        else lines.push(line)
      })
      ended.then(() => resolve())
    })
    return worker
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map((worker) => worker.kill()))
    await rm(this.folder, { recursive: true, force: true })
  }
}
