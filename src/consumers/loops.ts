import { DefinitionError, isCqrsError, messageOf } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import { Bell } from './bell.ts'
import type { Consumer } from './consumer.ts'
import type { Pulse, RunResult } from './core.ts'
import type { DrainRequest, DrainResult } from './definitions.ts'
import { drain } from './drain.ts'
import { follow } from './follow.ts'
import { type Followed, Tail } from './tail.ts'

interface Scene extends Pick<Core, 'store' | 'runtime' | 'observe'> {
  readonly pollMs: number
  readonly leaseMs: number
}

/** Runs consumers: continuously in a server, or once until all have caught up. */
export class Loops implements Pulse {
  readonly results = new Map<string, RunResult>()
  readonly #scene: Scene
  readonly #listeners = new Set<() => void>()
  #followed: readonly Followed[] = []
  /** One controller per task: a signal with many listeners prints a warning. */
  #endings: readonly AbortController[] = []
  #isEnding = false
  #running: Promise<unknown>[] = []
  #unwatch: (() => void) | undefined

  constructor(scene: Scene) {
    this.#scene = scene
  }

  get isFollowing(): boolean {
    return this.#running.length > 0
  }

  /** Reports that something may be new to consumers of one of these aggregate types, or to all. */
  wake(aggregateTypes?: readonly string[]): void {
    for (const { consumer, bell } of this.#followed)
      if (aggregateTypes === undefined || consumer.aggregateTypes.some((type) => aggregateTypes.includes(type))) bell.ring()
    this.#tell()
  }

  onWake(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  start(consumers: readonly Consumer[]): void {
    if (this.isFollowing || consumers.length === 0) return
    const { store } = this.#scene
    if (!store.capabilities.globalOrder && store.readChanges === undefined)
      throw new DefinitionError(
        'app.start: this store has no global order and reports no changes. Pass streams: true and a streamsClient to dynamoDbStore, or call app.catchUp or app.drain.',
      )
    this.#followed = consumers.map((consumer) => ({ consumer, bell: new Bell(this.#scene.runtime) }))
    const tail = new Tail(this.#scene, this.#followed, () => this.#tell())
    this.#unwatch = store.capabilities.push ? store.watch?.(() => void tail.look()) : undefined
    // Begin before any consumer reads: later events are new to all of them.
    const begun = tail.begin()
    const isPushed = this.#unwatch !== undefined
    const scene: Parameters<typeof follow>[0] = {
      ...this.#scene,
      run: (consumer, request) => this.#runOnce(consumer, request),
      report: (consumer, error) => this.#report(consumer, error),
    }
    const tasks: readonly ((signal: AbortSignal) => Promise<void>)[] = [
      (signal) => tail.poll(isPushed, signal),
      (signal) => tail.lookForAsked(signal),
      ...this.#followed.map((one) => (signal: AbortSignal) => follow(scene, one, signal)),
    ]
    this.#endings = tasks.map(() => new AbortController())
    this.#running = tasks.map(async (task, i) => {
      await begun
      return task((this.#endings[i] as AbortController).signal)
    })
  }

  /** Waits for runs in flight to end. */
  async stop(): Promise<void> {
    this.#isEnding = true
    for (const ending of this.#endings) ending.abort()
    this.#unwatch?.()
    await Promise.all(this.#running)
    this.#running = []
  }

  drain(consumers: readonly Consumer[], request: DrainRequest): Promise<DrainResult> {
    return drain({ ...this.#scene, note: (consumer, result) => this.#note(consumer, result) }, consumers, request)
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  async #runOnce(consumer: Consumer, request: Parameters<Consumer['run']>[0]): Promise<RunResult> {
    try {
      return this.#note(consumer, await consumer.run(request))
    } catch (error) {
      if (this.#isEnding) return { state: 'more', events: 0 }
      return this.#note(consumer, { state: 'waiting', events: 0, error })
    }
  }

  #note(consumer: Consumer, result: RunResult): RunResult {
    const before = this.results.get(consumer.title)
    this.results.set(consumer.title, result)
    const isTold = before?.state === result.state && before.leftAt?.id === result.leftAt?.id
    if (result.error !== undefined && !isTold) this.#report(consumer, result.error, result)
    return result
  }

  #report({ title }: Consumer, error: unknown, result?: RunResult): void {
    const { observe } = this.#scene
    if (observe !== undefined && result?.state === 'outdated')
      observe({ kind: 'outdated', name: title, ...(result.leftAt && { eventId: result.leftAt.id }), error })
    else if (observe !== undefined) observe({ kind: 'following', name: title, error })
    else if (result?.state !== 'outdated' && !isCqrsError(error, 'STOPPED')) console.error(`${title} will retry:`, error)
    else console.error(messageOf(error), ...causeOf(error))
  }
}

const causeOf = (error: unknown): readonly unknown[] => (error instanceof Error && error.cause !== undefined ? [error.cause] : [])
