import { StoreError } from '../errors.ts'
import type { Checkpoint, LeaseAnswer, StoredConsumer } from '../store/consumer.ts'
import { LruMap } from '../util/lru-map.ts'
import type { AttributeValue, ReadItem } from './client.ts'
import type { Connection } from './connection.ts'
import { condition, update } from './expressions.ts'
import { number, text } from './items.ts'
import { consumerKey } from './keys.ts'

/**
 * Leases without a shared clock: conditions of DynamoDB know no time, and machines' clocks differ.
 *
 * Every acquisition and renewal writes a new mark. A lease has expired for a process that has seen
 * the same mark for the whole duration of the lease, by its own monotonic clock. Whatever a clock
 * does, the fence decides which writes are valid.
 */
export class Leases {
  readonly #connection: Connection
  readonly #seen = new LruMap<{ readonly mark: string; readonly since: number }>(10_000)

  constructor(connection: Connection) {
    this.#connection = connection
  }

  async acquire({ name, holder, ttlMs }: { name: string; holder: string; ttlMs: number }): Promise<LeaseAnswer> {
    for (const waiting = this.#connection.waiting(); ; ) {
      const item = await this.#read(name)
      const owner = text(item?.Holder)
      if (item !== undefined && owner !== undefined && owner !== holder) {
        const remainingMs = this.#remaining(name, item)
        if (remainingMs > 0) return { acquired: false, holder: owner, remainingMs }
      }
      const fence = (item === undefined ? 0 : number(item.Fence)) + 1
      const isAsSeen = item === undefined ? condition('attribute_not_exists(#Pk)') : sameMark(item)
      const values = { ':fence': { N: String(fence) }, ':holder': { S: holder }, ...marked(ttlMs) }
      const set = 'SET #Fence = :fence, #Holder = :holder, #TtlMs = :ttl, #Mark = :mark'
      const taken = await this.#update(name, set, values, isAsSeen)
      if (taken?.Fence !== undefined) return { acquired: true, fence, checkpoint: checkpointOf(taken) ?? null }
      // A wrapper of the client does not return the item.
      if (taken !== undefined) return { acquired: true, fence }
      if (!(await waiting.pause()))
        throw new StoreError('STORE_BUSY', `Other processes keep taking and renewing the lease '${name}'. Retry later.`)
    }
  }

  async renew({ name, fence, ttlMs }: { name: string; fence: number; ttlMs: number }): Promise<boolean> {
    return (await this.#update(name, 'SET #TtlMs = :ttl, #Mark = :mark', marked(ttlMs), isHeld(fence))) !== undefined
  }

  async release({ name, fence }: { name: string; fence: number }): Promise<void> {
    await this.#update(name, 'SET #Mark = :mark REMOVE #Holder', { ':mark': newMark() }, isHeld(fence))
  }

  async readCheckpoint(name: string): Promise<Checkpoint | undefined> {
    return checkpointOf(await this.#read(name))
  }

  async readConsumers(names: readonly string[]): Promise<readonly StoredConsumer[]> {
    const { meta } = this.#connection.tables
    const keys = [...new Set(names)].map((name) => ({ table: meta, key: consumerKey(name) }))
    const items = (await this.#connection.batchGet(keys)).get(meta) ?? []
    const byKey = new Map(items.map((item) => [text(item.Pk), item]))
    return names.map((name) => this.#toStoredConsumer(name, byKey.get(text(consumerKey(name).Pk as ReadItem['Pk']))))
  }

  #toStoredConsumer(name: string, item: ReadItem | undefined): StoredConsumer {
    const checkpoint = checkpointOf(item)
    const holder = text(item?.Holder)
    const remainingMs = item === undefined || holder === undefined ? 0 : this.#remaining(name, item)
    return {
      ...(checkpoint && { checkpoint }),
      ...(holder !== undefined && remainingMs > 0 && { lease: { holder, fence: number(item?.Fence), remainingMs } }),
    }
  }

  #read(name: string): Promise<ReadItem | undefined> {
    return this.#connection.get(this.#connection.tables.meta, consumerKey(name))
  }

  #remaining(name: string, item: ReadItem): number {
    const mark = text(item.Mark) ?? ''
    const now = performance.now()
    const seen = this.#seen.get(name)
    const since = seen?.mark === mark ? seen.since : now
    this.#seen.set(name, { mark, since })
    return Math.max(0, number(item.TtlMs) - (now - since))
  }

  #update(
    name: string,
    set: string,
    values: Record<string, AttributeValue>,
    only: ReturnType<typeof condition>,
  ): Promise<ReadItem | undefined> {
    const all = { ...values, ...only.ExpressionAttributeValues }
    const change = update(set, all, only.ConditionExpression)
    return this.#connection.update({ TableName: this.#connection.tables.meta, Key: consumerKey(name), ...change })
  }
}

/** The checkpoint is in the item of the lease, so the update that takes the lease returns it. */
function checkpointOf(item: ReadItem | undefined): Checkpoint | undefined {
  const position = text(item?.Position)
  return position === undefined ? undefined : { position, fence: number(item?.PositionFence) }
}

const newMark = () => ({ S: crypto.randomUUID() })
const marked = (ttlMs: number) => ({ ':ttl': { N: String(ttlMs) }, ':mark': newMark() })
const isHeld = (fence: number) => condition('#Fence = :held AND attribute_exists(#Holder)', { ':held': { N: String(fence) } })
const sameMark = (item: ReadItem) => condition('#Mark = :seen', { ':seen': { S: text(item.Mark) ?? '' } })
