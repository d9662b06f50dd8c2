import { StoreError } from '../errors.ts'
import { addedState, canSwitch, isWritable, liveGeneration } from '../store/generations.ts'
import type { ViewGeneration } from '../store/store.ts'
import type { Expressions, Item, ReadItem, TransactionAction } from './client.ts'
import type { Connection } from './connection.ts'
import { condition } from './expressions.ts'
import { readIndexes, text } from './items.ts'
import { entryKey, first, generationsKey, last, viewPartition } from './keys.ts'

/**
 * Copies of a view's generations, all changed in one transaction, which takes up to 100 items.
 *
 * A commit with views checks in its transaction that their generation is writable. Two transactions
 * that name the same item conflict, even if both only check it. So each commit checks a random
 * copy.
 */
const copies = 64

/** The check of one copy. Before a generation was ever added there is no item, and 1 is live. */
export function mayWrite(name: string, generations: readonly number[]): Expressions & { Key: Item; ConditionExpression: string } {
  const all = generations.map((generation, i) =>
    generation === 1 ? `(attribute_not_exists(#Pk) OR contains(#Writable, :g${i}))` : `contains(#Writable, :g${i})`,
  )
  const values = Object.fromEntries(generations.map((generation, i) => [`:g${i}`, { N: String(generation) }]))
  const { ReturnValuesOnConditionCheckFailure: _, ...check } = condition(all.join(' AND '), values)
  return { Key: generationsKey(name, Math.floor(Math.random() * copies)), ...check }
}

/** A stored generation. One that is being removed is hidden, but its number is not free yet. */
interface Kept extends Omit<ViewGeneration, 'state'> {
  readonly state: ViewGeneration['state'] | 'removing'
}

export const toGenerations = (item: ReadItem | undefined): ViewGeneration[] => shown(keptIn(item))

const keptIn = (item: ReadItem | undefined): readonly Kept[] => JSON.parse(text(item?.Generations) ?? '[]') as Kept[]
const shown = (all: readonly Kept[]): ViewGeneration[] => all.filter((one): one is ViewGeneration => one.state !== 'removing')

export const readGenerations = async (connection: Connection, name: string): Promise<ViewGeneration[]> =>
  toGenerations(await connection.get(connection.tables.meta, generationsKey(name, 0)))

/**
 * Runs `work` on a generation; for `'live'`, on the last known one while the live one is looked up.
 *
 * If another one is live by now, runs `work` again.
 */
export async function onGeneration<T>(
  connection: Connection,
  name: string,
  wanted: number | 'live',
  work: (generation: number) => Promise<T>,
): Promise<T> {
  if (wanted !== 'live') return work(wanted)
  const assumed = connection.knownLive.get(name) ?? 1
  const [generations, result] = await Promise.all([readGenerations(connection, name), work(assumed)])
  const live = liveGeneration(generations)
  connection.knownLive.set(name, live)
  return live === assumed ? result : work(live)
}

export function addGeneration(connection: Connection, name: string, generation: number, viewVersion: string): Promise<boolean> {
  return change(connection, name, (all) => {
    const state = addedState(shown(all), generation)
    if (state === undefined || all.some((one) => one.generation === generation)) return undefined
    return [...all, { generation, viewVersion, state }].sort((a, b) => a.generation - b.generation)
  })
}

export function switchGeneration(connection: Connection, name: string, from: number, to: number): Promise<boolean> {
  return change(connection, name, (all) => {
    if (!canSwitch(shown(all), from, to)) return undefined
    return all.map((one) =>
      one.generation === from ? { ...one, state: 'retired' } : one.generation === to ? { ...one, state: 'live' } : one,
    )
  })
}

/**
 * Removes a generation in steps.
 *
 * From the first step on, no commit can write it; until the last one, no process can add it again.
 * After an interruption, another call completes the removal.
 */
export async function removeGeneration(connection: Connection, name: string, generation: number): Promise<boolean> {
  const all = await readGenerations(connection, name)
  if (liveGeneration(all) === generation) return false
  const others = (kept: readonly Kept[]) => kept.filter((one) => one.generation !== generation)
  const marked = await change(connection, name, (kept) =>
    liveGeneration(shown(kept)) === generation
      ? undefined
      : [...others(kept), { generation, viewVersion: '', state: 'removing' }],
  )
  if (!marked) return false
  await deleteRows(connection, name, generation)
  await change(connection, name, others)
  return true
}

/**
 * Deletes each row's entries before the row, which is needed to find them after an interruption.
 */
async function deleteRows(connection: Connection, name: string, generation: number): Promise<void> {
  const table = connection.tables.views
  for (;;) {
    const page = await connection.query({
      TableName: table,
      KeyConditionExpression: '#Pk = :pk AND #Sk BETWEEN :from AND :to',
      ExpressionAttributeNames: { '#Pk': 'Pk', '#Sk': 'Sk' },
      ExpressionAttributeValues: { ':pk': { S: viewPartition(name, generation) }, ':from': { B: first }, ':to': { B: last } },
      Limit: 100,
    })
    const entries = page.items.flatMap((row) =>
      readIndexes(row).map(([index, value]) => entryKey(name, generation, index, value, text(row.ViewId) ?? '')),
    )
    await connection.batchDelete(table, entries)
    await connection.batchDelete(
      table,
      page.items.map((row) => ({ Pk: row.Pk, Sk: row.Sk }) as Item),
    )
    if (page.next === undefined) return
  }
}

/**
 * Writes all copies, unless another process has changed them. Returns `false` if there is no
 * change.
 */
async function change(
  connection: Connection,
  name: string,
  decide: (all: readonly Kept[]) => readonly Kept[] | undefined,
): Promise<boolean> {
  for (const waiting = connection.waiting(); ; ) {
    const item = await connection.get(connection.tables.meta, generationsKey(name, 0))
    const all = decide(keptIn(item))
    if (all === undefined) return false
    if (await connection.change(writeCopies(connection.tables.meta, name, all, text(item?.Change)))) return true
    if (!(await waiting.pause()))
      throw new StoreError('STORE_BUSY', `Other processes keep changing the generations of view '${name}'. Retry later.`)
  }
}

function writeCopies(table: string, name: string, all: readonly Kept[], seen: string | undefined): TransactionAction[] {
  const candidates = [...new Set([1, ...all.map((one) => one.generation)])]
  const writable = candidates.filter((generation) => isWritable(shown(all), generation))
  const isUnchanged =
    seen === undefined ? condition('attribute_not_exists(#Pk)') : condition('#Change = :seen', { ':seen': { S: seen } })
  const content = {
    Generations: { S: JSON.stringify(all) },
    Writable: { NS: writable.map(String) },
    Change: { S: crypto.randomUUID() },
  }
  return Array.from({ length: copies }, (_, copy) => ({
    Put: { TableName: table, Item: { ...generationsKey(name, copy), ...content }, ...isUnchanged },
  }))
}
