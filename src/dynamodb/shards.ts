import { behind, type Cursor } from './cursor.ts'

/**
 * The shards of a stream, each with its parent. After some hours a shard is closed and has
 * children.
 */
export type Shards = ReadonlyMap<string, string | undefined>

/**
 * The shards without children. New records go to one of them, or to a child that is not listed yet.
 */
export function leaves(shards: Shards): string[] {
  const parents = new Set(shards.values())
  return [...shards.keys()].filter((shard) => !parents.has(shard))
}

/**
 * Removes finished shards that have children from the cursor, and finds the shards to read next.
 *
 * The list of shards is not of one moment, so one child may be listed later than another. Hence a
 * shard only counts as read if the cursor has a descendant of it. A shard is next if all its
 * ancestors are read.
 *
 * @throws StoreError `STORE_BEHIND` when a shard of the cursor is gone, possibly with unread
 * records
 */
export function follow(shards: Shards, { stream, shards: entries }: Cursor): { kept: Cursor['shards']; next: string[] } {
  const gone = entries.find(([shard]) => !shards.has(shard))
  if (gone !== undefined) throw behind(`DynamoDB has deleted the shard ${gone[0]} of ${stream}.`)
  const places = new Map(entries)
  const read = new Set(entries.flatMap(([shard]) => ancestors(shards, shard)))
  const isRead = (shard: string) => read.has(shard) || places.get(shard) === 'done'
  const next = [...shards.keys()].filter(
    (shard) => !places.has(shard) && !read.has(shard) && ancestors(shards, shard).every(isRead),
  )
  const parents = new Set(shards.values())
  return { kept: entries.filter(([shard, place]) => place !== 'done' || !parents.has(shard)), next }
}

/** The ancestors that are still listed. */
function ancestors(shards: Shards, shard: string): string[] {
  const found = new Set<string>()
  for (let at = shards.get(shard); at !== undefined && shards.has(at) && !found.has(at); at = shards.get(at)) found.add(at)
  return [...found]
}
