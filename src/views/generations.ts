import type { ConsumerCore } from '../consumers/core.ts'
import { rowsOf } from '../consumers/rows.ts'
import type { Core } from '../execution/core.ts'
import { canSwitch, liveGeneration } from '../store/generations.ts'
import { replacedRows } from '../store/internal-rows.ts'
import type { ViewGeneration } from '../store/store.ts'
import { isReady } from './generation-ready.ts'
import type { ViewDefinition } from './view-definition.ts'

/** The rows of a view that are in use. */
export interface Target {
  readonly generation: number
  /** The rows have this program's `viewVersion`. */
  readonly isOwn: boolean
  /** The `viewVersion` of the rows. */
  readonly version: string
}

/**
 * Caches which generation of each view is live. A stale entry does no harm: the store refuses
 * commits that name a wrong generation.
 */
export class Generations {
  readonly #core: ConsumerCore
  readonly #known = new Map<string, Target>()
  /** Views whose aggregates have events. */
  readonly #begun = new Set<string>()

  constructor(core: ConsumerCore) {
    this.#core = core
  }

  /**
   * Returns the cached generation. Version '1' is assumed to be at generation 1, without a read.
   */
  known({ storedAs, viewVersion }: ViewDefinition): Target | undefined {
    return this.#known.get(storedAs) ?? (viewVersion === '1' ? { generation: 1, isOwn: true, version: '1' } : undefined)
  }

  /** Reads the live generation. `isReady`: it is complete, as far as this process must check. */
  async look(view: ViewDefinition): Promise<Target & { readonly isReady: boolean }> {
    const { storedAs: name, viewVersion } = view
    for (;;) {
      const all = await this.#core.store.viewGenerations(name)
      const generation = liveGeneration(all)
      const version = liveVersion(all)
      const isOwn = version === viewVersion
      if (!isOwn && (await this.#begin(view, all))) continue
      const isNew = isOwn && this.#known.get(name)?.generation !== generation
      return { generation, isOwn, version, isReady: !isNew || (await isReady(this.#core, name, generation)) }
    }
  }

  /** Makes a generation the one that readers and commands use from now on. */
  remember({ storedAs }: ViewDefinition, { generation, isOwn, version }: Target): Target {
    const target = { generation, isOwn, version }
    this.#known.set(storedAs, target)
    return target
  }

  /**
   * Switches to rows of this version when nothing is stored yet. Uses a generation above 1:
   * programs of version 1 write generation 1 without a read, and only a switch makes the store
   * refuse them. Filling the new generation finds what they stored before the switch. Returns false
   * if there is something to rebuild.
   */
  async #begin(view: ViewDefinition, all: readonly ViewGeneration[]): Promise<boolean> {
    if (all.some(({ state }) => state !== 'building') || (await this.#hasEvents(view))) return false
    const begun = begunBy(view, all)
    if (begun === undefined) await this.add(view, all)
    else await this.switchTo(view, all, begun)
    return true
  }

  async #hasEvents({ storedAs, aggregateTypes }: ViewDefinition): Promise<boolean> {
    for (const aggregateType of this.#begun.has(storedAs) ? [] : aggregateTypes)
      if ((await this.#core.store.readIds({ aggregateType, limit: 1 })).items.length > 0) this.#begun.add(storedAs)
    return this.#begun.has(storedAs)
  }

  /**
   * Adds a generation for this version after all others. Returns `undefined` if another process
   * added one since.
   */
  async add({ storedAs: name, viewVersion }: ViewDefinition, all: readonly ViewGeneration[]): Promise<number | undefined> {
    const generation = Math.max(liveGeneration(all), ...all.map((one) => one.generation)) + 1
    return (await this.#core.store.addViewGeneration({ name, generation, viewVersion })) ? generation : undefined
  }

  /**
   * Makes a building generation live, in place of the one that was live in `all`. Returns false if
   * that changed.
   */
  async switchTo(view: ViewDefinition, all: readonly ViewGeneration[], to: number): Promise<boolean> {
    const { storedAs: name, viewVersion } = view
    const from = liveGeneration(all)
    if (!canSwitch(all, from, to)) return false
    const before = liveVersion(all)
    // Generations that were begun earlier belong to older programs, even if never finished.
    const earlier = all.filter(({ generation }) => generation < to).map((one) => one.viewVersion)
    if (before !== viewVersion) await noteReplaced(this.#core, name, [before, ...earlier], to)
    return this.#core.store.switchViewGeneration({ name, from, to })
  }

  /**
   * Returns whether a later version is or was live: an older program must not switch the view back.
   * Read `all` before calling it.
   */
  isOutdated({ storedAs, viewVersion }: ViewDefinition, all: readonly ViewGeneration[]): Promise<boolean> {
    return isReplaced(this.#core, storedAs, viewVersion, all)
  }
}

/** Returns the live `viewVersion`; without a stored generation, '1'. */
export const liveVersion = (all: readonly ViewGeneration[]): string =>
  all.find(({ state }) => state === 'live')?.viewVersion ?? '1'

/** Returns the generation that a program of this version has begun to fill. */
export const begunBy = ({ viewVersion }: ViewDefinition, all: readonly ViewGeneration[]): number | undefined =>
  all.find((one) => one.state === 'building' && one.viewVersion === viewVersion)?.generation

const mostReplaced = 100

/** Records, before a generation goes live, which versions it replaces. Applies once it is live. */
async function noteReplaced(core: ConsumerCore, name: string, viewVersions: readonly string[], by: number): Promise<void> {
  await replacedRows.update(rowsOf(core), name, (row) => {
    const replaced = row?.replaced ?? []
    const isNoted = (viewVersion: string) => replaced.some((one) => one.viewVersion === viewVersion && one.by === by)
    const added = [...new Set(viewVersions)].filter((viewVersion) => !isNoted(viewVersion))
    if (added.length === 0) return undefined
    return { replaced: [...replaced, ...added.map((viewVersion) => ({ viewVersion, by }))].slice(-mostReplaced) }
  })
}

/**
 * Returns whether a later version replaced this one. Read `all` before calling it, so that the
 * record of each live generation is visible.
 */
async function isReplaced({ store }: Core, name: string, viewVersion: string, all: readonly ViewGeneration[]): Promise<boolean> {
  const isBuilding = (by: number) => all.some(({ generation, state }) => generation === by && state === 'building')
  const { value } = await replacedRows.read(store, name)
  return value?.replaced.some((one) => one.viewVersion === viewVersion && !isBuilding(one.by)) ?? false
}
