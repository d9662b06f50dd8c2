import type { ViewGeneration } from './store.ts'

/**
 * Returns the generation that readers use: the live one, or 1 if none is live.
 *
 * @example
 * ```ts
 * import { liveGeneration } from 'cqrs-es/store'
 *
 * console.log(liveGeneration([])) // 1
 * console.log(liveGeneration([{ generation: 2, viewVersion: 'b', state: 'live' }])) // 2
 * ```
 */
export const liveGeneration = (all: readonly ViewGeneration[]): number => all.find((g) => g.state === 'live')?.generation ?? 1

/**
 * Returns whether commits may write rows of a generation: it is live or building.
 *
 * @example
 * ```ts
 * import { isWritable } from 'cqrs-es/store'
 *
 * const added = [{ generation: 2, viewVersion: 'b', state: 'building' }] as const
 * console.log(isWritable(added, 1), isWritable(added, 2), isWritable(added, 3)) // true true false
 * ```
 */
export const isWritable = (all: readonly ViewGeneration[], generation: number): boolean =>
  generation === liveGeneration(all) || all.some((g) => g.generation === generation && g.state === 'building')

/**
 * Returns the state in which `addViewGeneration` adds a generation, `undefined` if it does not.
 *
 * A generation is not added if its number exists, or if it would be a second live one.
 *
 * @example
 * ```ts
 * import { addedState } from 'cqrs-es/store'
 *
 * const added = [{ generation: 2, viewVersion: 'b', state: 'building' }] as const
 * console.log(addedState(added, 1), addedState(added, 2), addedState(added, 3)) // live undefined building
 * ```
 */
export function addedState(all: readonly ViewGeneration[], generation: number): 'live' | 'building' | undefined {
  const state = generation === 1 ? 'live' : 'building'
  const taken = all.some((g) => g.generation === generation || (state === 'live' && g.state === 'live'))
  return taken ? undefined : state
}

/**
 * Returns whether `switchViewGeneration` may switch: `from` is live and `to` is building.
 *
 * Generation 1 is live even if it was never added.
 *
 * @example
 * ```ts
 * import { canSwitch } from 'cqrs-es/store'
 *
 * const added = [{ generation: 2, viewVersion: 'b', state: 'building' }] as const
 * console.log(canSwitch(added, 1, 2), canSwitch(added, 2, 3)) // true false
 * ```
 */
export const canSwitch = (all: readonly ViewGeneration[], from: number, to: number): boolean =>
  liveGeneration(all) === from && all.some((g) => g.generation === to && g.state === 'building')
