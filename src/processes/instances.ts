import { dueInShard } from '../due/due-rows.ts'
import { shardsOf } from '../due/shards.ts'
import { ValidationError } from '../errors.ts'
import { encodeIndexValue } from '../store/index-value.ts'
import type { StoredView, ViewFind } from '../store/store.ts'
import { parsePageCursor, toPageCursor } from '../util/page-cursor.ts'
import type { StoredInstance } from './instance-cache.ts'
import { dueOf, type InstanceRow, stuckIndex } from './instance-row.ts'
import { saveInstance, type WorkCore } from './work-core.ts'

/** Some instances, and the place to continue after them. */
export interface InstancePage {
  readonly items: readonly StoredInstance[]
  readonly next?: string
}

const stuckOf = ({ rows }: WorkCore): Pick<ViewFind, 'name' | 'generation' | 'where'> => ({
  name: rows.name,
  generation: 1,
  where: [{ index: stuckIndex, is: '=', value: encodeIndexValue('') }],
})

/** Returns the number of stuck instances, up to `most`. */
export const countStuck = async (work: WorkCore, most: number): Promise<number> =>
  (await work.core.store.findViews({ ...stuckOf(work), limit: most })).items.length

/** Returns stuck instances in the order of their ids. */
export async function listStuck(work: WorkCore, limit: number, after: string | undefined): Promise<InstancePage> {
  const from = after === undefined ? {} : { after: parsePageCursor('list', after, false) }
  const page = await work.core.store.findViews({ ...stuckOf(work), limit, ...from })
  const items = page.items.map((row) => work.rows.parse(row.id, row))
  return { items, ...(page.next && { next: toPageCursor(page.next) }) }
}

/** The last row that was listed of each shard, `0` before the first, `1` when nothing is left. */
type ShardCursor = readonly [id: string, value: string] | 0 | 1

/** Returns instances that have not ended, the next due first. */
export async function listRunning(work: WorkCore, limit: number, after: string | undefined): Promise<InstancePage> {
  const { core, rows } = work
  const shards = shardsOf(core.store)
  const cursors = after === undefined ? Array.from({ length: shards }, (): ShardCursor => 0) : parseCursors(after, shards)
  const pages = await Promise.all(
    cursors.map((cursor, shard) => {
      if (cursor === 1) return { items: [] }
      const from = cursor === 0 ? undefined : { id: cursor[0], value: cursor[1] }
      return dueInShard(core, rows.name, shard, undefined, '', limit, from)
    }),
  )
  const dueValue = ({ view }: StoredView) => encodeIndexValue(dueOf(view as InstanceRow) ?? '')
  const found = pages.flatMap(({ items }, shard) => items.map((row) => ({ row, shard, value: dueValue(row) })))
  found.sort((a, b) => (a.value < b.value ? -1 : a.value > b.value ? 1 : 0))
  const taken = found.slice(0, limit)
  const next = cursors.map((cursor, shard): ShardCursor => {
    const own = taken.filter((one) => one.shard === shard)
    const last = own.at(-1)
    const page = pages[shard] as { readonly items: readonly StoredView[]; readonly next?: object }
    if (own.length === page.items.length && page.next === undefined) return 1
    return last === undefined ? cursor : [last.row.id, last.value]
  })
  const items = taken.map(({ row }) => rows.parse(row.id, row))
  return { items, ...(next.some((cursor) => cursor !== 1) && { next: JSON.stringify(next) }) }
}

function parseCursors(after: string, shards: number): readonly ShardCursor[] {
  try {
    const cursors = JSON.parse(after) as ShardCursor[]
    const isCursor = (one: unknown) =>
      one === 0 || one === 1 || (Array.isArray(one) && one.every((part) => typeof part === 'string'))
    if (Array.isArray(cursors) && cursors.length === shards && cursors.every(isCursor)) return cursors
  } catch {
    // Not JSON.
  }
  throw new ValidationError('list: after must be the next of a page of the same list.')
}

/**
 * Changes an instance, again after each lost race. Returns false if `change` returns `undefined`,
 * also for an instance that does not exist.
 */
export async function changeInstance(
  work: WorkCore,
  id: string,
  change: (row: InstanceRow) => InstanceRow | undefined,
): Promise<boolean> {
  for (;;) {
    const row = await work.rows.read(work.core.store, id)
    const next = row.value && change(row.value)
    if (next === undefined) return false
    if ((await saveInstance(work, row, next)) !== undefined) return true
  }
}

/** Returns the instance with its stuck input and send retried; `undefined` if it is not stuck. */
export function resumed(row: InstanceRow): InstanceRow | undefined {
  const { stuck, stuckSend, ...rest } = row
  if (stuckSend === undefined && (stuck === undefined || stuck.again)) return undefined
  const [head, ...todo] = row.todo
  const again = stuck === undefined ? rest : { ...rest, stuck: { ...stuck, again: true as const } }
  if (stuckSend === undefined || head === undefined) return again
  const { notBefore: _, error: __, ...send } = head
  return { ...again, todo: [{ ...send, tries: 0 }, ...todo] }
}

/** Returns the instance, ended by a person; `undefined` if nothing of it is left to end. */
export function abandoned(row: InstanceRow, because: string): InstanceRow | undefined {
  const { stuck, stuckSend, ...rest } = row
  if (row.ended !== undefined && row.todo.length === 0 && stuck === undefined && stuckSend === undefined) return undefined
  return { ...rest, todo: [], timers: {}, behind: [], ended: `abandoned: ${because}` }
}
