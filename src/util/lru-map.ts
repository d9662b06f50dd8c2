interface Entry<V> {
  readonly key: string
  value: V
  older: Entry<V>
  newer: Entry<V>
}

/**
 * A map that drops the entry used longest ago when it has more than `max`.
 *
 * A ring of entries has their order. Moving a key to the end of the `Map` on each use would cost several times as much as the lookup.
 */
export class LruMap<V> {
  readonly #max: number
  readonly #entries = new Map<string, Entry<V>>()
  /** Between the newest entry and the oldest. */
  readonly #ends: Entry<V>

  constructor(max: number) {
    this.#max = max
    const ends = { key: '' } as Entry<V>
    ends.older = ends
    ends.newer = ends
    this.#ends = ends
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    unlink(entry)
    this.#link(entry)
    return entry.value
  }

  set(key: string, value: V): void {
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = { key, value, older: this.#ends, newer: this.#ends }
      this.#entries.set(key, entry)
    } else {
      entry.value = value
      unlink(entry)
    }
    this.#link(entry)
    if (this.#entries.size > this.#max) this.delete(this.#ends.newer.key)
  }

  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    unlink(entry)
  }

  /** Makes it the newest. */
  #link(entry: Entry<V>): void {
    const ends = this.#ends
    entry.older = ends.older
    entry.newer = ends
    ends.older.newer = entry
    ends.older = entry
  }
}

function unlink<V>(entry: Entry<V>): void {
  entry.older.newer = entry.newer
  entry.newer.older = entry.older
}
