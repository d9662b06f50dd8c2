import { toViewGeneration } from '../sql/rows.ts'
import { addedState, canSwitch, liveGeneration } from '../store/generations.ts'
import type { ViewGeneration, ViewKey } from '../store/store.ts'
import type { Connection } from './connection.ts'
import * as statements from './statements.ts'

export const readGenerations = (connection: Connection, name: string): ViewGeneration[] =>
  connection.all(statements.readGenerations, name).map(toViewGeneration)

export const readGeneration = (connection: Connection, name: string, generation: ViewKey['generation']): number =>
  generation === 'live' ? liveGeneration(readGenerations(connection, name)) : generation

export function addGeneration(connection: Connection, name: string, generation: number, viewVersion: string): boolean {
  const state = addedState(readGenerations(connection, name), generation)
  if (state === undefined) return false
  connection.run(statements.insertGeneration, name, generation, viewVersion, state)
  return true
}

export function switchGeneration(connection: Connection, name: string, from: number, to: number): boolean {
  if (!canSwitch(readGenerations(connection, name), from, to)) return false
  connection.run(statements.updateGeneration, 'retired', name, from)
  connection.run(statements.updateGeneration, 'live', name, to)
  return true
}

export function removeGeneration(connection: Connection, name: string, generation: number): boolean {
  if (liveGeneration(readGenerations(connection, name)) === generation) return false
  connection.run(statements.deleteGenerationIndexes, name, generation)
  connection.run(statements.deleteGenerationViews, name, generation)
  connection.run(statements.deleteGeneration, name, generation)
  return true
}
