import type { ConsumerCore } from '../consumers/consumption.ts'
import { canSwitch, liveGeneration } from '../store/generations.ts'
import type { ViewGeneration } from '../store/store.ts'
import { isReplaced, noteReplaced } from './replaced.ts'
import { isSettled } from './settled.ts'
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
  readonly #settle: (view: ViewDefinition, generation: number) => Promise<void>
  readonly #known = new Map<string, Target>()
  /** Views whose aggregates have events. */
  readonly #begun = new Set<string>()

  /** `settle` completes the rows of a generation that has just gone live; it also ends when that is live no more. */
  constructor(core: ConsumerCore, settle: (view: ViewDefinition, generation: number) => Promise<void>) {
    this.#core = core
    this.#settle = settle
  }

  /** What was found last. A view that nobody has raised the version of is taken to be at its first generation, without a read. */
  known({ name, viewVersion }: ViewDefinition): Target | undefined {
    return this.#known.get(name) ?? (viewVersion === '1' ? { generation: 1, isOwn: true, version: '1' } : undefined)
  }

  /** What is known; rows of another version are looked at again, since that ends when somebody has rebuilt them. */
  async target(view: ViewDefinition): Promise<Target> {
    const known = this.known(view)
    return known?.isOwn ? known : this.refresh(view)
  }

  /** Looks again, and waits until what is live has all that it should have. */
  async refresh(view: ViewDefinition): Promise<Target> {
    const { name, viewVersion } = view
    for (;;) {
      const all = await this.#core.store.viewGenerations(name)
      const generation = liveGeneration(all)
      const isOwn = liveVersion(all) === viewVersion
      if (!isOwn && (await this.#begin(view, all))) continue
      const isNew = isOwn && this.#known.get(name)?.generation !== generation
      if (isNew && !(await isSettled(this.#core, name, generation))) {
        await this.#settle(view, generation)
        continue
      }
      const target = { generation, isOwn, version: liveVersion(all) }
      this.#known.set(name, target)
      return target
    }
  }

  /**
   * A step to rows of this version where no version has any, because nothing was stored. Generation 1 is never theirs: a program of version 1 takes it to be its own without a read, so that only
   * a switch makes the store refuse what it writes there. What such a program stores before the switch is found by settling. False where there is something to rebuild.
   */
  async #begin(view: ViewDefinition, all: readonly ViewGeneration[]): Promise<boolean> {
    if (all.some(({ state }) => state !== 'building') || (await this.#hasEvents(view))) return false
    const begun = begunBy(view, all)
    if (begun === undefined) await this.add(view, all)
    else await this.switchTo(view, all, begun)
    return true
  }

  async #hasEvents({ name, aggregateTypes }: ViewDefinition): Promise<boolean> {
    for (const aggregateType of this.#begun.has(name) ? [] : aggregateTypes)
      if ((await this.#core.store.readIds({ aggregateType, limit: 1 })).items.length > 0) this.#begun.add(name)
    return this.#begun.has(name)
  }

  /** Adds a generation for this version behind all there are; `undefined` when somebody else has added one since. */
  async add({ name, viewVersion }: ViewDefinition, all: readonly ViewGeneration[]): Promise<number | undefined> {
    const generation = Math.max(liveGeneration(all), ...all.map((one) => one.generation)) + 1
    return (await this.#core.store.addViewGeneration({ name, generation, viewVersion })) ? generation : undefined
  }

  /** Makes a building generation live in the place of what was live when all were looked at. False when that has changed since. */
  async switchTo(view: ViewDefinition, all: readonly ViewGeneration[], to: number): Promise<boolean> {
    const { name, viewVersion } = view
    const from = liveGeneration(all)
    if (!canSwitch(all, from, to)) return false
    const before = liveVersion(all)
    // Those that were begun earlier than this one are of older programs, also where they have never come to their end.
    const earlier = all.filter(({ generation }) => generation < to).map((one) => one.viewVersion)
    if (before !== viewVersion) await noteReplaced(this.#core, name, [before, ...earlier], to)
    return this.#core.store.switchViewGeneration({ name, from, to })
  }

  /** A later version of the view is or was live: this program is an older one, and must not turn the view back. `all` were looked at before. */
  isOutdated({ name, viewVersion }: ViewDefinition, all: readonly ViewGeneration[]): Promise<boolean> {
    return isReplaced(this.#core, name, viewVersion, all)
  }
}

/** Generation 1 is of version 1 where nobody has said otherwise. */
export const liveVersion = (all: readonly ViewGeneration[]): string =>
  all.find(({ state }) => state === 'live')?.viewVersion ?? '1'

/** The generation that a program of this version has begun to fill. */
export const begunBy = ({ viewVersion }: ViewDefinition, all: readonly ViewGeneration[]): number | undefined =>
  all.find((one) => one.state === 'building' && one.viewVersion === viewVersion)?.generation
