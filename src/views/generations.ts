import type { ConsumerCore } from '../consumers/core.ts'
import { rowsOf } from '../consumers/rows.ts'
import type { Core } from '../execution/core.ts'
import { canSwitch, liveGeneration } from '../store/generations.ts'
import { replacedRows } from '../store/internal-rows.ts'
import type { ViewGeneration } from '../store/store.ts'
import { isReady } from './generation-ready.ts'
import type { ViewDefinition } from './view-definition.ts'

/** Which rows of a view are in use. */
export interface Target {
  readonly generation: number
  /** They were made by this program's version of the view. */
  readonly isOwn: boolean
  /** The version that they were made by. */
  readonly version: string
}

/** Which generation of each view is live, as far as this process knows. A commit that names a wrong one is refused by the store, so being late does no harm. */
export class Generations {
  readonly #core: ConsumerCore
  readonly #known = new Map<string, Target>()
  /** Views whose aggregates have events. */
  readonly #begun = new Set<string>()

  constructor(core: ConsumerCore) {
    this.#core = core
  }

  /** What was found last. A view that nobody has raised the version of is taken to be at its first generation, without a read. */
  known({ storedAs, viewVersion }: ViewDefinition): Target | undefined {
    return this.#known.get(storedAs) ?? (viewVersion === '1' ? { generation: 1, isOwn: true, version: '1' } : undefined)
  }

  /** What is live now. `isReady`: it has all that it should have, as far as this process has to ask. */
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

  /** It is what readers and commands go by from now on. */
  remember({ storedAs }: ViewDefinition, { generation, isOwn, version }: Target): Target {
    const target = { generation, isOwn, version }
    this.#known.set(storedAs, target)
    return target
  }

  /**
   * A step to rows of this version where no version has any, because nothing was stored. Generation 1 is never theirs: a program of version 1 takes it to be its own without a read, so that only
   * a switch makes the store refuse what it writes there. What such a program stores before the switch is found by making it ready. False where there is something to rebuild.
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

  /** Adds a generation for this version behind all there are; `undefined` when somebody else has added one since. */
  async add({ storedAs: name, viewVersion }: ViewDefinition, all: readonly ViewGeneration[]): Promise<number | undefined> {
    const generation = Math.max(liveGeneration(all), ...all.map((one) => one.generation)) + 1
    return (await this.#core.store.addViewGeneration({ name, generation, viewVersion })) ? generation : undefined
  }

  /** Makes a building generation live in the place of what was live when all were looked at. False when that has changed since. */
  async switchTo(view: ViewDefinition, all: readonly ViewGeneration[], to: number): Promise<boolean> {
    const { storedAs: name, viewVersion } = view
    const from = liveGeneration(all)
    if (!canSwitch(all, from, to)) return false
    const before = liveVersion(all)
    // Those that were begun earlier than this one are of older programs, also where they have never come to their end.
    const earlier = all.filter(({ generation }) => generation < to).map((one) => one.viewVersion)
    if (before !== viewVersion) await noteReplaced(this.#core, name, [before, ...earlier], to)
    return this.#core.store.switchViewGeneration({ name, from, to })
  }

  /** A later version of the view is or was live: this program is an older one, and must not turn the view back. `all` were looked at before. */
  isOutdated({ storedAs, viewVersion }: ViewDefinition, all: readonly ViewGeneration[]): Promise<boolean> {
    return isReplaced(this.#core, storedAs, viewVersion, all)
  }
}

/** Generation 1 is of version 1 where nobody has said otherwise. */
export const liveVersion = (all: readonly ViewGeneration[]): string =>
  all.find(({ state }) => state === 'live')?.viewVersion ?? '1'

/** The generation that a program of this version has begun to fill. */
export const begunBy = ({ viewVersion }: ViewDefinition, all: readonly ViewGeneration[]): number | undefined =>
  all.find((one) => one.state === 'building' && one.viewVersion === viewVersion)?.generation

const mostReplaced = 100

/** Says, before a generation goes live, which versions it takes the place of. It holds from when the generation has gone live. */
async function noteReplaced(core: ConsumerCore, name: string, viewVersions: readonly string[], by: number): Promise<void> {
  await replacedRows.update(rowsOf(core), name, (row) => {
    const replaced = row?.replaced ?? []
    const isNoted = (viewVersion: string) => replaced.some((one) => one.viewVersion === viewVersion && one.by === by)
    const added = [...new Set(viewVersions)].filter((viewVersion) => !isNoted(viewVersion))
    if (added.length === 0) return undefined
    return { replaced: [...replaced, ...added.map((viewVersion) => ({ viewVersion, by }))].slice(-mostReplaced) }
  })
}

/** Whether a program of another version has come later. `all` generations were looked at before, so that one which has gone live by then has said so. */
async function isReplaced({ store }: Core, name: string, viewVersion: string, all: readonly ViewGeneration[]): Promise<boolean> {
  const isBuilding = (by: number) => all.some(({ generation, state }) => generation === by && state === 'building')
  const { value } = await replacedRows.read(store, name)
  return value?.replaced.some((one) => one.viewVersion === viewVersion && !isBuilding(one.by)) ?? false
}
