import type { Lifecycle } from '../util/lifecycle.ts'
import { together } from '../util/together.ts'
import type { Consumer } from './consumer.ts'
import type { ConsumerCore } from './core.ts'
import { type Look, look } from './look.ts'
import { type ConsumerStatus, statusOf } from './status.ts'

/** Interval of reads for iterations over statuses. */
const lookMs = 1_000

const known = new WeakMap<object, Looks>()

/** Returns the status reader of an app. */
export function looksOf(core: ConsumerCore): Looks {
  const looks = known.get(core.pulse) ?? new Looks(core)
  known.set(core.pulse, looks)
  return looks
}

/** Reads the statuses of an app's consumers: one read for all concurrent calls. */
class Looks {
  readonly #core: ConsumerCore
  readonly #look: () => Promise<ReadonlyMap<Consumer, Look>>
  #wanted = new Set<Consumer>()
  #tick: Promise<void> | undefined

  constructor(core: ConsumerCore) {
    this.#core = core
    this.#look = together(() => this.#lookAt())
  }

  /** Returns the current status of a consumer. */
  async status(consumer: Consumer): Promise<ConsumerStatus> {
    const core = this.#core
    this.#wanted.add(consumer)
    const found = (await this.#look()).get(consumer) as Look
    const { results, isFollowing } = core.pulse
    return statusOf(core, found, { last: results.get(consumer.title), isFollowing })
  }

  /** Iterates over statuses until the app closes, which waits for a read in flight. */
  async *statuses(consumer: Consumer, lifecycle: Lifecycle): AsyncGenerator<ConsumerStatus, void, undefined> {
    let close = () => {}
    const closing = new Promise<void>((resolve) => {
      close = resolve
    })
    const forget = lifecycle.onClosing(close)
    try {
      for (let last = ''; !lifecycle.isClosing; ) {
        const status = await lifecycle.run('status', () => this.status(consumer))
        const shown = shownOf(status)
        if (shown !== last) yield status
        last = shown
        await Promise.race([this.#nextTick(), closing])
      }
    } finally {
      forget()
    }
  }

  #nextTick(): Promise<void> {
    this.#tick ??= this.#core.runtime.sleep(lookMs).finally(() => {
      this.#tick = undefined
    })
    return this.#tick
  }

  async #lookAt(): Promise<ReadonlyMap<Consumer, Look>> {
    const consumers = [...this.#wanted]
    this.#wanted = new Set()
    const watched = await Promise.all(consumers.map((consumer) => consumer.watched()))
    const looks = await look(this.#core, watched)
    return new Map(consumers.map((consumer, i) => [consumer, looks[i] as Look]))
  }
}

/** Returns the part of a status that counts as a change; elapsed time does not. */
function shownOf({ because: _, error, oldest, holders, ...status }: ConsumerStatus): string {
  const shownHolders = holders.map(({ remainingMs: _, ...holder }) => holder)
  return JSON.stringify({
    ...status,
    oldest: oldest?.eventId,
    holders: shownHolders,
    error: error === undefined ? undefined : String(error),
  })
}
