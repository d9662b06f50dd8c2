import type { LeaseAnswer, StoredConsumer } from '../store/consumer.ts'

interface Lease {
  /** `undefined` once released. */
  readonly holder: string | undefined
  readonly fence: number
  readonly until: number
}

/** The leases by name. Fences only grow. */
export class Leases {
  readonly #clock: () => number
  readonly #byName = new Map<string, Lease>()

  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** The valid fence. An expired lease keeps its fence until another holder takes it. */
  fence(name: string): number | undefined {
    const lease = this.#byName.get(name)
    return lease?.holder === undefined ? undefined : lease.fence
  }

  /** The current holder, and the time it has left. */
  holder(name: string): StoredConsumer['lease'] {
    const lease = this.#byName.get(name)
    const remainingMs = (lease?.until ?? 0) - this.#clock()
    if (lease?.holder === undefined || remainingMs <= 0) return undefined
    return { holder: lease.holder, fence: lease.fence, remainingMs }
  }

  acquire({ name, holder, ttlMs }: { name: string; holder: string; ttlMs: number }): LeaseAnswer {
    const now = this.#clock()
    const lease = this.#byName.get(name)
    if (lease?.holder !== undefined && lease.holder !== holder && lease.until > now) {
      return { acquired: false, holder: lease.holder, remainingMs: lease.until - now }
    }
    const fence = (lease?.fence ?? 0) + 1
    this.#byName.set(name, { holder, fence, until: now + ttlMs })
    return { acquired: true, fence }
  }

  renew({ name, fence, ttlMs }: { name: string; fence: number; ttlMs: number }): boolean {
    const lease = this.#byName.get(name)
    if (lease?.holder === undefined || lease.fence !== fence) return false
    this.#byName.set(name, { ...lease, until: this.#clock() + ttlMs })
    return true
  }

  release({ name, fence }: { name: string; fence: number }): void {
    const lease = this.#byName.get(name)
    if (lease?.fence === fence) this.#byName.set(name, { ...lease, holder: undefined })
  }
}
