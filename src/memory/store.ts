import type { Position } from '../event-envelope.ts'
import type { Commit, CommitOutcome } from '../store/commit.ts'
import type { Checkpoint, LeaseAnswer, StoredConsumer } from '../store/consumer.ts'
import { FailedDependencies } from '../store/failed-dependencies.ts'
import type { CommitFacts } from '../store/find-conflict.ts'
import { addedState, canSwitch, liveGeneration } from '../store/generations.ts'
import { type SerializedCommit, serializeCommit } from '../store/serialize-commit.ts'
import type {
  AggregatePage,
  AggregateRequest,
  Capabilities,
  FeedPage,
  FeedRequest,
  IdsPage,
  IdsRequest,
  KeyRequest,
  Store,
  StoredKey,
  StoredSnapshot,
  StoredView,
  ViewFind,
  ViewGeneration,
  ViewKey,
  ViewPage,
} from '../store/store.ts'
import { checkFunction, checkOptions } from '../util/options.ts'
import { applyCommit } from './append.ts'
import { factsOf } from './facts.ts'
import { readFeed, toStoredEvent } from './feed.ts'
import { findViews } from './find-views.ts'
import { Leases } from './leases.ts'
import { type AggregateRows, Tables, toStoredView } from './tables.ts'

/** Options of `memoryStore`. */
export interface MemoryStoreOptions {
  /** Clock that decides when leases expire, in milliseconds since 1970. Default `Date.now`. */
  readonly clock?: () => number
}

/**
 * Creates a store that keeps everything in this process, for tests, examples and throw-away data.
 *
 * It behaves like a database: data is stored as JSON text and read as fresh objects, conflicts are
 * real, and several apps on one store object behave like several processes. All data is lost with
 * the process. `createSchema()` does nothing.
 *
 * @throws DefinitionError for an unknown or invalid option
 * @example
 * ```ts
 * import { memoryStore } from 'cqrs-es/memory'
 *
 * const store = memoryStore()
 * const page = await store.readAggregate({ aggregateType: 'account', aggregateId: 'acct-1', after: 0 })
 * console.log(page.events.length) // 0
 * ```
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  checkOptions('memoryStore', options, ['clock'])
  const clock = options.clock ?? Date.now
  checkFunction('memoryStore: the option "clock"', clock)
  return new MemoryStore(clock)
}

const capabilities: Capabilities = {
  globalOrder: true,
  push: true,
  appendsPerCommit: Number.POSITIVE_INFINITY,
  itemsPerCommit: Number.POSITIVE_INFINITY,
  bytesPerCommit: Number.POSITIVE_INFINITY,
  bytesPerEvent: Number.POSITIVE_INFINITY,
}

class MemoryStore implements Store {
  readonly capabilities = capabilities
  readonly #tables = new Tables()
  readonly #leases: Leases
  readonly #facts: CommitFacts
  readonly #watchers = new Set<() => void>()

  constructor(clock: () => number) {
    this.#leases = new Leases(clock)
    this.#facts = factsOf(this.#tables, this.#leases)
  }

  async createSchema(): Promise<void> {}

  printSchema(): string {
    return JSON.stringify({ store: 'memory', tables: [] })
  }

  async append(commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
    const failed = new FailedDependencies()
    const outcomes = commits.map((commit) => failed.note(commit, this.#appendOne(commit, failed)))
    if (this.#watchers.size > 0 && outcomes.some((outcome) => outcome.kind === 'stored')) this.#wakeAll()
    return outcomes
  }

  async readAggregate(request: AggregateRequest): Promise<AggregatePage> {
    const aggregate = this.#tables.aggregate(request.aggregateType, request.aggregateId)
    if (aggregate === undefined) return { events: [], more: false }
    const last = Math.min(request.upTo ?? Number.POSITIVE_INFINITY, aggregate.events.length)
    const snapshot = usableSnapshot(aggregate, request, last)
    const from = snapshot?.sequence ?? request.after
    const to = Math.min(last, from + (request.limit ?? Number.POSITIVE_INFINITY))
    const events = aggregate.events.slice(from, Math.max(from, to)).map(toStoredEvent)
    return { ...(snapshot && { snapshot }), events, more: to < last }
  }

  async readIds(request: IdsRequest): Promise<IdsPage> {
    return this.#tables.ids(request)
  }

  async readKey(request: KeyRequest): Promise<StoredKey | undefined> {
    const key = this.#tables.aggregate(request.aggregateType, request.aggregateId)?.keys?.get(request.idempotencyKey)
    return key && { ...key }
  }

  async readViews(keys: readonly ViewKey[]): Promise<readonly (StoredView | undefined)[]> {
    return keys.map(({ name, generation: wanted, id }) => {
      const generation = this.#tables.readGeneration(name, wanted)
      const row = this.#tables.view(name, generation, id)
      return row && toStoredView({ name, generation, id }, row)
    })
  }

  async findViews(request: ViewFind): Promise<ViewPage> {
    return findViews(this.#tables, request)
  }

  async viewGenerations(name: string): Promise<readonly ViewGeneration[]> {
    return this.#tables.viewGenerations(name).map((generation) => ({ ...generation }))
  }

  async addViewGeneration(added: { name: string; generation: number; viewVersion: string }): Promise<boolean> {
    const { name, generation, viewVersion } = added
    const all = this.#tables.viewGenerations(name)
    const state = addedState(all, generation)
    if (state === undefined) return false
    this.#tables.setViewGenerations(name, [...all, { generation, viewVersion, state }])
    return true
  }

  async switchViewGeneration({ name, from, to }: { name: string; from: number; to: number }): Promise<boolean> {
    const all = this.#tables.viewGenerations(name)
    if (!canSwitch(all, from, to)) return false
    const stateOf = (g: ViewGeneration) => (g.generation === to ? 'live' : g.generation === from ? 'retired' : g.state)
    this.#tables.setViewGenerations(
      name,
      all.map((g) => ({ ...g, state: stateOf(g) })),
    )
    return true
  }

  async removeViewGeneration({ name, generation }: { name: string; generation: number }): Promise<boolean> {
    const all = this.#tables.viewGenerations(name)
    if (liveGeneration(all) === generation) return false
    this.#tables.setViewGenerations(
      name,
      all.filter((g) => g.generation !== generation),
    )
    this.#tables.views.get(name)?.delete(generation)
    return true
  }

  async readFeed(request: FeedRequest): Promise<FeedPage> {
    return readFeed(this.#tables.log, request)
  }

  async lastPosition(): Promise<Position | undefined> {
    return this.#tables.log.at(-1)?.position
  }

  endPosition(): Promise<Position | undefined> {
    return this.lastPosition()
  }

  async readCheckpoint(name: string): Promise<Checkpoint | undefined> {
    return this.#checkpoint(name)
  }

  async readConsumers(names: readonly string[]): Promise<readonly StoredConsumer[]> {
    return names.map((name) => {
      const checkpoint = this.#checkpoint(name)
      const lease = this.#leases.holder(name)
      return { ...(checkpoint && { checkpoint }), ...(lease && { lease }) }
    })
  }

  async acquireLease(request: { name: string; holder: string; ttlMs: number }): Promise<LeaseAnswer> {
    const answer = this.#leases.acquire(request)
    return answer.acquired ? { ...answer, checkpoint: this.#checkpoint(request.name) ?? null } : answer
  }

  async renewLease(request: { name: string; fence: number; ttlMs: number }): Promise<boolean> {
    return this.#leases.renew(request)
  }

  async releaseLease(request: { name: string; fence: number }): Promise<void> {
    this.#leases.release(request)
  }

  watch(wake: () => void): () => void {
    const watcher = () => wake()
    this.#watchers.add(watcher)
    return () => {
      this.#watchers.delete(watcher)
    }
  }

  #checkpoint(name: string): Checkpoint | undefined {
    const kept = this.#tables.checkpoints.get(name)
    return kept && { position: kept.position, fence: kept.fence }
  }

  #appendOne(commit: Commit, failed: FailedDependencies): CommitOutcome {
    let texts: SerializedCommit
    try {
      texts = serializeCommit(commit)
    } catch (cause) {
      return { kind: 'failed', certain: true, cause }
    }
    return applyCommit(this.#tables, this.#facts, failed, commit, texts)
  }

  #wakeAll(): void {
    for (const watcher of this.#watchers) queueMicrotask(watcher)
  }
}

function usableSnapshot(
  { snapshot: kept, events }: AggregateRows,
  request: AggregateRequest,
  last: number,
): StoredSnapshot | undefined {
  if (kept === undefined || kept.stateVersion !== request.snapshot?.stateVersion) return undefined
  if (kept.sequence <= request.after || kept.sequence > last) return undefined
  const commitId = events[kept.sequence - 1]?.commitId
  return commitId === undefined ? undefined : { ...kept, commitId, state: JSON.parse(kept.state) }
}
