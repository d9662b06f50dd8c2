import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { connect, createServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { patienceMs } from '../strength.ts'

/** A server of the tests. */
export interface Server {
  readonly url: string
  /** Stops it and removes its data. */
  stop(): Promise<void>
}

/** Creates a folder that is removed with this process, however it ends. */
export async function privateFolder(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `cqrs-es-${name}-`))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A free port of 127.0.0.1. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

/**
 * Starts a program that keeps running, and resolves when `ready` returns true. It does not keep
 * this process alive, and is killed with it.
 */
export async function startProgram(
  file: string,
  args: readonly string[],
  options: SpawnOptions,
  ready: (output: string) => boolean | Promise<boolean>,
): Promise<ChildProcess> {
  // In its own process group: Ctrl-C is for this process, which may still need the program while it
  // closes.
  const child = spawn(file, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  let output = ''
  let failure: Error | undefined
  const listen = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-20_000)
  }
  child.stdout?.on('data', listen)
  child.stderr?.on('data', listen)
  child.once('error', (error) => {
    failure = error
  })
  for (const deadline = Date.now() + patienceMs; ; ) {
    if (failure !== undefined) throw failure
    if (child.exitCode !== null) throw new Error(`${file} ended with ${child.exitCode}:\n${output}`)
    try {
      if (await ready(output)) return unref(child)
    } catch (error) {
      kill()
      throw error
    }
    if (Date.now() > deadline) throw new Error(`${file} did not get ready within ${patienceMs / 1_000} s:\n${output}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function unref(child: ChildProcess): ChildProcess {
  child.unref()
  for (const stream of [child.stdout, child.stderr]) if (stream instanceof Socket) stream.unref()
  return child
}

/** Ends a program and waits for its exit. */
export function endProgram(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  child.ref()
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill(signal)
  })
}

/** Runs a program to its end. @throws Error with its output */
export async function runProgram(file: string, args: readonly string[], options: SpawnOptions = {}): Promise<void> {
  await outputOf(file, args, options)
}

/** Runs a program to its end and returns its output. @throws Error with it */
export async function outputOf(file: string, args: readonly string[], options: SpawnOptions = {}): Promise<string> {
  const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout?.on('data', (chunk) => {
    output += chunk
  })
  child.stderr?.on('data', (chunk) => {
    output += chunk
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`${file} ended with ${code}:\n${output}`)
  return output
}

/** Whether a port of 127.0.0.1 accepts connections. */
export const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
