import type { ViewGeneration } from './store.ts'

/** The generation that readers read: the one that is `live`, 1 where none is. */
export const liveGeneration = (all: readonly ViewGeneration[]): number => all.find((g) => g.state === 'live')?.generation ?? 1

/** Whether commits may write rows of it. */
export const isWritable = (all: readonly ViewGeneration[], generation: number): boolean =>
  generation === liveGeneration(all) || all.some((g) => g.generation === generation && g.state === 'building')
