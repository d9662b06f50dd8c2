import type { Core } from '../execution/core.ts'
import { encodeIndexValue } from '../store/index-value.ts'
import type { StoredView, ViewFind } from '../store/store.ts'
import { dueIndex, shardsOf } from './shards.ts'

/** Value of rows that only wait for events: after every time. */
export const waitsForEvents = '~'
/** Value of rows that are due since they were saved: before every time. */
export const dueAtOnce = ''

const pageSize = 50

type Reading = Pick<Core, 'store'>

/** Iterates over pages of the due rows of a name, the oldest first, in all shards. */
export async function* duePages(
  core: Reading,
  name: string,
  until: string,
): AsyncGenerator<readonly StoredView[], void, undefined> {
  for (let shard = 0; shard < shardsOf(core.store); shard++)
    for (let after: ViewFind['after']; ; ) {
      const page = await dueInShard(core, name, shard, '<=', until, pageSize, after)
      if (page.items.length > 0) yield page.items
      if (page.next === undefined) break
      after = page.next
    }
}

/** Returns whether a row of a name is due. */
export async function isAnyDue(core: Reading, name: string, until: string): Promise<boolean> {
  const pages = await inShards(core, (shard) => dueInShard(core, name, shard, '<=', until, 1))
  return pages.some(({ items }) => items.length > 0)
}

/** Returns the first row of each shard that is due, now or later. */
export async function firstDueRows(core: Reading, name: string): Promise<readonly StoredView[]> {
  const pages = await inShards(core, (shard) => dueInShard(core, name, shard, '<', waitsForEvents, 1))
  return pages.flatMap(({ items }) => items)
}

/** Returns the first row of each shard that is due after a time. */
export async function nextDueRows(core: Reading, name: string, after: string): Promise<readonly StoredView[]> {
  const pages = await inShards(core, (shard) => dueInShard(core, name, shard, '>', after, 1))
  return pages.flatMap(({ items }) => items)
}

/** Returns a page of one shard, ordered by due time. Without `is`, all of its rows. */
export function dueInShard(
  { store }: Reading,
  name: string,
  shard: number,
  is: '<' | '<=' | '>' | undefined,
  at: string,
  limit: number,
  after?: ViewFind['after'],
) {
  const index = dueIndex(shard)
  return store.findViews({
    name,
    generation: 1,
    where: is === undefined ? [] : [{ index, is, value: encodeIndexValue(at) }],
    orderBy: { index },
    limit,
    ...(after && { after }),
  })
}

const inShards = <T>({ store }: Reading, read: (shard: number) => Promise<T>): Promise<readonly T[]> =>
  Promise.all(Array.from({ length: shardsOf(store) }, (_, shard) => read(shard)))
