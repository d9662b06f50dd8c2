import type { ViewGeneration } from './store.ts'

/** The generation that readers read: the one that is `live`, 1 where none is. */
export const liveGeneration = (all: readonly ViewGeneration[]): number => all.find((g) => g.state === 'live')?.generation ?? 1

/** Whether commits may write rows of it. */
export const isWritable = (all: readonly ViewGeneration[], generation: number): boolean =>
  generation === liveGeneration(all) || all.some((g) => g.generation === generation && g.state === 'building')

/** What a generation is added as, `undefined` when it cannot be: its number is there, or it would be a second live one. */
export function addedState(all: readonly ViewGeneration[], generation: number): 'live' | 'building' | undefined {
  const state = generation === 1 ? 'live' : 'building'
  const taken = all.some((g) => g.generation === generation || (state === 'live' && g.state === 'live'))
  return taken ? undefined : state
}

/** Whether `to` is ready to take the place of `from`. */
export const canSwitch = (all: readonly ViewGeneration[], from: number, to: number): boolean =>
  liveGeneration(all) === from && all.some((g) => g.generation === to && g.state === 'building')
