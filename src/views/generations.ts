import type { Core } from '../execution/core.ts'
import type { ViewWrite } from '../store/commit.ts'
import { liveGeneration } from '../store/generations.ts'
import type { ViewDefinition } from '../subscriptions/definitions.ts'

/** Which rows of a view are in use. */
export interface Target {
  readonly generation: number
  /** They were made by this program's version of the view. */
  readonly isOwn: boolean
  /** The version that they were made by. */
  readonly version: string
}

/** What is kept of the rebuilds of a view. */
interface Rebuilds {
  /** Went live before it had all that the one before it had. */
  readonly unsettled: number | null
  /** Versions that were live before the one that is. */
  readonly past: readonly string[]
}

const rebuildsRows = '~rebuilds'
const pastMost = 100

/** Which generation of each view is live, as far as this process knows. A commit that names a wrong one is refused by the store, so being late does no harm. */
export class Generations {
  readonly #store: Core['store']
  readonly #settle: (view: ViewDefinition, generation: number) => Promise<void>
  readonly #known = new Map<string, Target>()

  /** `settle` completes the rows of a generation that has just gone live. */
  constructor(store: Core['store'], settle: (view: ViewDefinition, generation: number) => Promise<void>) {
    this.#store = store
    this.#settle = settle
  }

  /** What was found last. A view that nobody has raised the version of is taken to be at its first generation, without a read. */
  known({ name, viewVersion }: ViewDefinition): Target | undefined {
    return this.#known.get(name) ?? (viewVersion === '1' ? { generation: 1, isOwn: true, version: '1' } : undefined)
  }

  async target(view: ViewDefinition): Promise<Target> {
    return this.known(view) ?? this.refresh(view)
  }

  /** Looks again, and waits until what is live has all that it should have. */
  async refresh(view: ViewDefinition): Promise<Target> {
    const { name, viewVersion } = view
    const before = this.#known.get(name)
    const all = await this.#store.viewGenerations(name)
    const generation = liveGeneration(all)
    const liveVersion = all.find((one) => one.generation === generation)?.viewVersion
    const isOwn = liveVersion === undefined ? await this.#claim(view, all.length === 0) : liveVersion === viewVersion
    const target = { generation, isOwn, version: isOwn ? viewVersion : (liveVersion ?? '1') }
    if (isOwn && generation > 1 && before?.generation !== generation && (await this.isUnsettled(name, generation)))
      await this.#settle(view, generation)
    this.#known.set(name, target)
    return target
  }

  /** The first generation belongs to version 1, unless it has no rows yet. */
  async #claim({ name, viewVersion }: ViewDefinition, isFree: boolean): Promise<boolean> {
    if (viewVersion === '1') return true
    if (!isFree) return false
    const { items } = await this.#store.findViews({ name, generation: 1, where: [], limit: 1 })
    return items.length === 0 && (await this.#store.addViewGeneration({ name, generation: 1, viewVersion }))
  }

  async isUnsettled(name: string, generation: number): Promise<boolean> {
    return (await this.#readRebuilds(name)).value.unsettled === generation
  }

  /** A later version of the view is or was live: this program is an older one, and must not turn the view back. */
  async isOutdated({ name, viewVersion }: ViewDefinition): Promise<boolean> {
    return (await this.#readRebuilds(name)).value.past.includes(viewVersion)
  }

  /** The write that says that a generation is about to go live in the place of a version. */
  async unsettledWrite(name: string, generation: number, viewVersion: string, before: string): Promise<ViewWrite> {
    const { version, value } = await this.#readRebuilds(name)
    const past = [...new Set([...value.past, before])].filter((one) => one !== viewVersion).slice(-pastMost)
    return this.#rebuildsWrite(name, version, { unsettled: generation, past })
  }

  /** The write that says that the live generation has all that it should have. */
  async settledWrite(name: string): Promise<ViewWrite> {
    const { version, value } = await this.#readRebuilds(name)
    return this.#rebuildsWrite(name, version, { ...value, unsettled: null })
  }

  #rebuildsWrite(id: string, expectedVersion: number, view: Rebuilds): ViewWrite {
    return { name: rebuildsRows, generation: 1, id, expectedVersion, view }
  }

  async #readRebuilds(name: string): Promise<{ readonly version: number; readonly value: Rebuilds }> {
    const [row] = await this.#store.readViews([{ name: rebuildsRows, generation: 1, id: name }])
    return { version: row?.version ?? 0, value: (row?.view ?? { unsettled: null, past: [] }) as Rebuilds }
  }
}
