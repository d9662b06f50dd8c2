import type { Position } from '../event-envelope.ts'
import type { Core } from '../execution/core.ts'
import { processorRows } from '../store/internal-rows.ts'
import type { Bell } from './bell.ts'
import type { Consumer } from './consumer.ts'
import { logPage } from './log-page.ts'
import { laterOf } from './positions.ts'

/** With push, the log is polled at a tenth of the rate: a wake-up may be lost. */
const pollsWithPush = 10
/** Events per read. If there are more, all consumers are woken. */
const pageSize = 200
/** Interval of checks for requests of operators or other processes. */
const askedMs = 5_000
/** Checks per search for due retries: the process that knew of them may have died. */
const looksPerDue = 12

interface Scene extends Pick<Core, 'store' | 'runtime'> {
  readonly pollMs: number
}

/** A running consumer and its bell. */
export interface Followed {
  readonly consumer: Consumer
  readonly bell: Bell
}

/** Reads the end of the log for all consumers of an app, and wakes those concerned. */
export class Tail {
  readonly #scene: Scene
  readonly #all: readonly Followed[]
  /** Called with each news of the log. */
  readonly #tell: () => void
  readonly #types: readonly string[]
  /** The types of all events up to here are known. */
  #position: Position | undefined
  /** End of the log at the last read. */
  #end: Position | undefined
  #looking: Promise<void> | undefined
  #isAgain = false

  constructor(scene: Scene, all: readonly Followed[], tell: () => void) {
    this.#scene = scene
    this.#all = all
    this.#tell = tell
    this.#types = [...new Set(all.flatMap(({ consumer }) => consumer.aggregateTypes))]
  }

  /** Marks the end of the log: later events are new to all consumers. */
  async begin(): Promise<void> {
    this.#position = await this.#readEnd()
    this.#end = this.#position
  }

  /** Polls until the signal aborts. */
  async poll(hasPush: boolean, signal: AbortSignal): Promise<void> {
    const { store, runtime, pollMs } = this.#scene
    const every = hasPush ? pollMs * pollsWithPush : pollMs
    while (await slept(runtime, every * (0.75 + runtime.random() / 2), signal)) {
      if (!store.capabilities.globalOrder) {
        this.#ringAll()
        continue
      }
      // After a failed read, poll again; the consumers report the error.
      const end = await this.#readEnd()
      if (end === undefined || end === this.#end) continue
      this.#end = end
      await this.look()
    }
    await this.#looking
  }

  /** Reads the log after something was stored, by any process. */
  look(): Promise<void> {
    this.#isAgain = true
    this.#looking ??= this.#lookOn().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #lookOn(): Promise<void> {
    while (this.#isAgain) {
      this.#isAgain = false
      try {
        await this.#readPage()
      } catch {
        // The log may have gone back, so earlier knowledge is void.
        await this.#ringAllUpTo(this.#position)
      }
    }
  }

  async #readPage(): Promise<void> {
    const { events, position, more } = await logPage(this.#scene, this.#types, this.#position, pageSize)
    if (position === undefined || position === this.#position) return
    if (more) return this.#ringAllUpTo(position)
    this.#position = position
    const newAt = new Map(events.map((event) => [event.aggregateType, event.position as Position]))
    for (const { consumer, bell } of this.#all) {
      const own = consumer.aggregateTypes.flatMap((type) => newAt.get(type) ?? [])
      bell.look(own.length === 0 ? undefined : own.reduce(laterOf), position)
    }
    this.#tell()
  }

  /** Reads the end first: later events are checked later. */
  async #ringAllUpTo(position: Position | undefined): Promise<void> {
    this.#position = (await this.#readEnd()) ?? position
    this.#ringAll()
  }

  #ringAll(): void {
    for (const { bell } of this.#all) bell.ring()
    this.#tell()
  }

  async #readEnd(): Promise<Position | undefined> {
    const { store } = this.#scene
    return store.capabilities.globalOrder ? store.lastPosition().catch(() => undefined) : undefined
  }

  /**
   * Wakes consumers with requests, by one read for all; and, less often, those with due retries.
   */
  async lookForAsked(signal: AbortSignal): Promise<void> {
    const { store, runtime } = this.#scene
    const asked = this.#all.flatMap(({ consumer: { asked }, bell }) => (asked === undefined ? [] : [{ asked, bell }]))
    if (asked.length === 0) return
    const keys = asked.map(({ asked: { name } }) => processorRows.key(name))
    for (let looks = 1; await slept(runtime, askedMs, signal); looks++) {
      const rows = await store.readViews(keys).catch(() => undefined)
      for (const [i, { asked: one, bell }] of asked.entries()) {
        if (rows !== undefined && one.isAsked(processorRows.parse(one.name, rows[i]).value)) bell.ring()
        if (looks % looksPerDue === 0 && (await one.isDue().catch(() => false))) bell.ring()
      }
    }
  }
}

const slept = ({ sleep }: Core['runtime'], ms: number, signal: AbortSignal): Promise<boolean> =>
  sleep(ms, signal).then(
    () => true,
    () => false,
  )
