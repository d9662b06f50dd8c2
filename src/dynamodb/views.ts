import { liveGeneration } from '../store/generations.ts'
import type { StoredView, ViewKey } from '../store/store.ts'
import { rowOf } from './actions.ts'
import type { Item, ReadItem } from './client.ts'
import type { Connection } from './connection.ts'
import { toGenerations } from './generations.ts'
import { number, readIndexes, text, toStoredView } from './items.ts'
import { generationsKey, viewKey } from './keys.ts'

interface RowKey {
  readonly name: string
  readonly generation: number
  readonly id: string
}

/**
 * Reads rows, and for `'live'` the generations in the same request.
 *
 * If another generation is live than the last known one, it reads those rows again.
 */
export async function readViews(connection: Connection, keys: readonly ViewKey[]): Promise<readonly (StoredView | undefined)[]> {
  const names = [...new Set(keys.filter((key) => key.generation === 'live').map((key) => key.name))]
  const assume = (): RowKey[] =>
    keys.map(({ name, generation, id }) => ({
      name,
      generation: generation === 'live' ? (connection.knownLive.get(name) ?? 1) : generation,
      id,
    }))
  const assumed = assume()
  const rows = await readRows(connection, assumed, names)
  const certain = assume()
  const isWrong = certain.map(({ generation }, i) => generation !== assumed[i]?.generation)
  const again = certain.filter((_, i) => isWrong[i])
  const others = (await readRows(connection, again)).values()
  return certain.map(({ name, generation }, i) => {
    const row = isWrong[i] ? others.next().value : rows[i]
    return row && toStoredView(name, generation, row)
  })
}

/**
 * Returns the items of these rows, in order. Also learns the live generation of each of `names`.
 */
export async function readRows(
  connection: Connection,
  rows: readonly RowKey[],
  names: readonly string[] = [],
): Promise<readonly (ReadItem | undefined)[]> {
  if (rows.length === 0) return []
  const { meta, views } = connection.tables
  const wanted = new Map<string, { table: string; key: Item }>()
  for (const row of rows) wanted.set(rowOf(row), { table: views, key: viewKey(row.name, row.generation, row.id) })
  const generations = names.map((name) => ({ table: meta, key: generationsKey(name, 0) }))
  const found = await connection.batchGet([...generations, ...wanted.values()])
  const byName = new Map((found.get(meta) ?? []).map((item) => [text(item.Pk), item]))
  for (const name of names) {
    const item = byName.get(text(generationsKey(name, 0).Pk as ReadItem['Pk']))
    connection.knownLive.set(name, liveGeneration(toGenerations(item)))
  }
  const byKey = new Map((found.get(views) ?? []).map((item) => [JSON.stringify([text(item.Pk), text(item.ViewId)]), item]))
  return rows.map((row) => {
    const { Pk } = viewKey(row.name, row.generation, row.id) as ReadItem
    const item = byKey.get(JSON.stringify([text(Pk), row.id]))
    if (item !== undefined) connection.knownIndexes.set(rowOf(row), { version: number(item.Version), indexes: readIndexes(item) })
    return item
  })
}
