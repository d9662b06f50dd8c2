import type { Store } from '../store/store.ts'

/**
 * Shards of the due index on a store without a global order.
 *
 * Its values grow with time, so one partition of DynamoDB would receive all writes.
 */
const mostShards = 8

/** Returns the number of shards of the due index. */
export const shardsOf = ({ capabilities }: Pick<Store, 'capabilities'>): number => (capabilities.globalOrder ? 1 : mostShards)

/** Returns the name of a shard's index. */
export const dueIndex = (shard: number): string => `due/${shard}`

/** Returns the shard of an id. The same in every program: FNV-1a. */
export function shardOf(id: string, shards: number): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193) >>> 0
  return hash % shards
}
