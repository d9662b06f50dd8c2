import type { Lifecycle } from '../util/lifecycle.ts'
import { together } from '../util/together.ts'
import type { Consumer } from './consumer.ts'
import type { ConsumerCore } from './core.ts'
import { type Look, look } from './look.ts'
import { type ConsumerStatus, statusOf } from './status.ts'

/** Whoever iterates over statuses is told of changes this often. */
const lookMs = 1_000

const known = new WeakMap<object, Looks>()

/** The looks of an app. */
export function looksOf(core: ConsumerCore): Looks {
  const looks = known.get(core.pulse) ?? new Looks(core)
  known.set(core.pulse, looks)
  return looks
}

/** The looks at the consumers of an app: one for all that ask at the same time. */
class Looks {
  readonly #core: ConsumerCore
  readonly #look: () => Promise<ReadonlyMap<Consumer, Look>>
  #wanted = new Set<Consumer>()
  #tick: Promise<void> | undefined

  constructor(core: ConsumerCore) {
    this.#core = core
    this.#look = together(() => this.#lookAt())
  }

  /** How a consumer is doing now. */
  async status(consumer: Consumer): Promise<ConsumerStatus> {
    const core = this.#core
    this.#wanted.add(consumer)
    const found = (await this.#look()).get(consumer) as Look
    const { results, isFollowing } = core.pulse
    return statusOf(core, found, { last: results.get(consumer.title), isFollowing })
  }

  /** Ends when the app closes, which waits for a look in flight. */
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

/** What counts as a change: that time passes is none. */
function shownOf({ because: _, error, oldest, holders, ...status }: ConsumerStatus): string {
  const shownHolders = holders.map(({ remainingMs: _, ...holder }) => holder)
  return JSON.stringify({
    ...status,
    oldest: oldest?.eventId,
    holders: shownHolders,
    error: error === undefined ? undefined : String(error),
  })
}
