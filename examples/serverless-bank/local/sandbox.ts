import { randomUUID } from 'node:crypto'
import { Worker } from 'node:worker_threads'

/** Outcome of a call: the answer of the function, or its failure. */
export type Outcome =
  | { readonly answer: unknown }
  | { readonly failure: { readonly errorType: string; readonly errorMessage: string } }

export interface FunctionOptions {
  readonly name: string
  /** The bundle, and the bundle of `worker.ts`, which loads it. */
  readonly file: string
  readonly worker: string
  readonly environment: Readonly<Record<string, string>>
  readonly memory: number
  /** Seconds. */
  readonly timeout: number
}

/** A call to the worker. */
export interface Call {
  readonly event: unknown
  readonly context: {
    readonly awsRequestId: string
    readonly functionName: string
    readonly invokedFunctionArn: string
    readonly memoryLimitInMB: string
    /** Milliseconds since 1970. */
    readonly deadline: number
  }
}

/** Sandboxes of one function, at most. */
const most = 4

/**
 * A function as Lambda runs it: in sandboxes with their own environment, each with one call at a
 * time. A new one starts when all are busy, and one that exceeds its time limit is ended.
 */
export class LocalFunction {
  readonly #options: FunctionOptions
  readonly #idle: Worker[] = []
  readonly #waiting: ((worker: Worker) => void)[] = []
  readonly #all = new Set<Worker>()

  constructor(options: FunctionOptions) {
    this.#options = options
  }

  async invoke(event: unknown): Promise<Outcome> {
    const { name, memory, timeout } = this.#options
    const worker = await this.#take()
    const context = {
      awsRequestId: randomUUID(),
      functionName: name,
      invokedFunctionArn: `arn:aws:lambda:us-east-1:123456789012:function:${name}`,
      memoryLimitInMB: `${memory}`,
      deadline: Date.now() + timeout * 1_000,
    }
    const outcome = await call(worker, { event, context }, timeout)
    if (outcome === undefined) await worker.terminate()
    else if (this.#all.has(worker)) this.#give(worker)
    const known = outcome ?? failed('Sandbox.Timedout', `Task timed out after ${timeout} seconds`)
    if ('failure' in known) console.error(`${name} failed: ${known.failure.errorType}: ${known.failure.errorMessage}`)
    return known
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((worker) => worker.terminate()))
  }

  #take(): Promise<Worker> | Worker {
    const idle = this.#idle.pop()
    if (idle !== undefined) return idle
    return this.#all.size < most ? this.#start() : new Promise((resolve) => this.#waiting.push(resolve))
  }

  #give(worker: Worker): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#idle.push(worker)
    else next(worker)
  }

  #start(): Worker {
    const { name, file, worker: program, environment } = this.#options
    const worker = new Worker(program, { env: { ...environment }, workerData: { file } })
    this.#all.add(worker)
    worker.on('error', (error) => console.error(`A sandbox of ${name} failed:`, error))
    worker.once('exit', () => this.#drop(worker))
    return worker
  }

  #drop(worker: Worker): void {
    this.#all.delete(worker)
    const at = this.#idle.indexOf(worker)
    if (at >= 0) this.#idle.splice(at, 1)
    const next = this.#waiting.shift()
    if (next !== undefined) next(this.#start())
  }
}

/** `undefined` if no answer arrives in time. */
function call(worker: Worker, message: Call, timeout: number): Promise<Outcome | undefined> {
  return new Promise((resolve) => {
    const end = (outcome: Outcome | undefined) => {
      clearTimeout(timer)
      worker.off('message', end).off('exit', exit)
      resolve(outcome)
    }
    const exit = () => end(failed('Runtime.ExitError', 'The sandbox has ended.'))
    const timer = setTimeout(end, timeout * 1_000, undefined)
    worker.on('message', end).on('exit', exit)
    worker.postMessage(message)
  })
}

const failed = (errorType: string, errorMessage: string): Outcome => ({ failure: { errorType, errorMessage } })
