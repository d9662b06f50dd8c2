import { behind, type Cursor } from './cursor.ts'

/** The shards of a stream, each with the one it came from. A shard is closed after some hours, and then has one child or more. */
export type Shards = ReadonlyMap<string, string | undefined>

/** The shards that have no children: what is written now goes into one of them, or into a child that is not listed yet. */
export function leaves(shards: Shards): string[] {
  const parents = new Set(shards.values())
  return [...shards.keys()].filter((shard) => !parents.has(shard))
}

/**
 * The cursor without the finished shards that have children, and the shards that come next. The list of shards is not of one moment, so one child may be listed
 * later than another. Hence a shard counts as read only when the cursor has a descendant of it, and is next when all that came before it is read.
 *
 * @throws StoreError `STORE_BEHIND` when a shard of the cursor is gone: what was in it may not have been read
 */
export function follow(shards: Shards, { stream, shards: entries }: Cursor): { kept: Cursor['shards']; next: string[] } {
  const gone = entries.find(([shard]) => !shards.has(shard))
  if (gone !== undefined) throw behind(`DynamoDB has forgotten the shard ${gone[0]} of ${stream}.`)
  const places = new Map(entries)
  const read = new Set(entries.flatMap(([shard]) => ancestors(shards, shard)))
  const isRead = (shard: string) => read.has(shard) || places.get(shard) === 'done'
  const next = [...shards.keys()].filter(
    (shard) => !places.has(shard) && !read.has(shard) && ancestors(shards, shard).every(isRead),
  )
  const parents = new Set(shards.values())
  return { kept: entries.filter(([shard, place]) => place !== 'done' || !parents.has(shard)), next }
}

/** Those that are still listed. */
function ancestors(shards: Shards, shard: string): string[] {
  const found = new Set<string>()
  for (let at = shards.get(shard); at !== undefined && shards.has(at) && !found.has(at); at = shards.get(at)) found.add(at)
  return [...found]
}
