import { toViewGeneration } from '../sql/rows.ts'
import { addedState, canSwitch, liveGeneration } from '../store/generations.ts'
import type { ViewGeneration } from '../store/store.ts'
import type { Connection, Run } from './connection.ts'
import type { Statements } from './statements.ts'

export async function readGenerations(run: Run, statements: Statements, name: string): Promise<ViewGeneration[]> {
  const { rows } = await run(statements.readGenerations, name)
  return rows.map(toViewGeneration)
}

/**
 * Adds a generation, in a transaction of the caller.
 *
 * This function and the next lock the sequencer's row like all commits, so that none is stored in
 * between.
 */
export async function addGeneration(
  run: Run,
  statements: Statements,
  { name, generation, viewVersion }: { readonly name: string; readonly generation: number; readonly viewVersion: string },
): Promise<boolean> {
  await run(statements.lockSequencer)
  const state = addedState(await readGenerations(run, statements, name), generation)
  if (state === undefined) return false
  await run(statements.insertGeneration, name, generation, viewVersion, state)
  return true
}

export async function switchGeneration(
  run: Run,
  statements: Statements,
  { name, from, to }: { readonly name: string; readonly from: number; readonly to: number },
): Promise<boolean> {
  await run(statements.lockSequencer)
  if (!canSwitch(await readGenerations(run, statements, name), from, to)) return false
  await run(statements.updateGeneration, 'retired', name, from)
  await run(statements.updateGeneration, 'live', name, to)
  return true
}

/**
 * Retires a generation under the lock, so that no commit writes it, then deletes its rows in
 * batches.
 *
 * Writers are not held up meanwhile. After an interruption, another call deletes the rest.
 */
export async function removeGeneration(
  connection: Connection,
  statements: Statements,
  { name, generation }: { readonly name: string; readonly generation: number },
): Promise<boolean> {
  const retired = await connection.transaction(async (run) => {
    await run(statements.lockSequencer)
    if (liveGeneration(await readGenerations(run, statements, name)) === generation) return false
    await run(statements.updateGeneration, 'retired', name, generation)
    return true
  })
  if (!retired) return false
  for (const sql of [statements.deleteSomeIndexes, statements.deleteSomeViews])
    while ((await connection.change(sql, name, generation)).affectedRows > 0);
  await connection.change(statements.deleteGeneration, name, generation)
  return true
}
