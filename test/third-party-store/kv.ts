/** All that the store asks of a database: an ordered map in which a key can be created once, as object storage and many key-value services have it. */
export interface Kv {
  /** Creates the key. `false`, and nothing changed, when it is there: the one atomic step in all this. */
  create(key: string, value: string): Promise<boolean>
  /** The keys behind `after`, in byte order, at most `limit`. */
  list(after: string, limit: number): Promise<readonly KvItem[]>
}

export interface KvItem {
  readonly key: string
  readonly value: string
  /** When it was created by the clock of the database: milliseconds since 1970, never going back from key to key. */
  readonly createdAt: number
}

/** The database: each client is as far away as another process would be. Keys must be created in byte order, as a log does. */
export function kvServer(clock: () => number = Date.now) {
  const items: KvItem[] = []
  const places = new Map<string, number>()
  const create = (key: string, value: string): boolean => {
    if (places.has(key)) return false
    places.set(key, items.length)
    items.push({ key, value, createdAt: Math.max(clock(), items.at(-1)?.createdAt ?? 0) })
    return true
  }
  const list = (after: string, limit: number): readonly KvItem[] => {
    const start = (places.get(after) ?? -1) + 1
    return items.slice(start, start + limit)
  }
  return {
    connect: (): Kv => ({
      create: (key, value) => overTheWire(() => create(key, value)),
      list: (after, limit) => overTheWire(() => list(after, limit)),
    }),
  }
}

/** There and back, with everybody else's turn in between. */
async function overTheWire<T>(work: () => T): Promise<T> {
  await turn()
  const answer = work()
  await turn()
  return answer
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
