import {
  type Append,
  addedState,
  type Checkpoint,
  type Commit,
  type CommitFacts,
  type CommitOutcome,
  canSwitch,
  FailedDependencies,
  findConflict,
  type LeaseAnswer,
  liveGeneration,
  noEvents,
  type Position,
  type Store,
  type StoredEvent,
  type StoredKey,
  type StoredSnapshot,
  type StoredView,
  type ViewGeneration,
  type ViewWrite,
} from 'cqrs-es/store'

interface Aggregate {
  readonly type: string
  readonly id: string
  /** The event with sequence n is at n - 1. */
  readonly events: StoredEvent[]
  readonly keys: Map<string, StoredKey>
  snapshot?: StoredSnapshot
}

interface ViewRow {
  readonly stored: StoredView
  readonly indexes: ReadonlyMap<string, string>
}

interface Lease {
  /** `undefined`: released. */
  readonly holder: string | undefined
  readonly fence: number
  readonly until: number
}

/** The methods of the port that change something. */
export type Change =
  | 'append'
  | 'addViewGeneration'
  | 'switchViewGeneration'
  | 'removeViewGeneration'
  | 'acquireLease'
  | 'renewLease'
  | 'releaseLease'

/** Where a commit would have stood that has failed before it got here. */
export type FailedCommit = Commit & { readonly failed: true }

export type Request<C extends Change> = C extends 'append' ? readonly (Commit | FailedCommit)[] : Parameters<Store[C]>[0]

/**
 * What the log of requests adds up to. Each request is decided here, when it is its turn: every client that reads the same log comes to
 * the same answers, so nothing needs to be locked. A method of this class must not throw, and must know no clock but `now`.
 */
export class State {
  /** The event with position n is at n - 1. */
  readonly feed: StoredEvent[] = []
  readonly #aggregates = new Map<string, Aggregate>()
  readonly #views = new Map<string, Map<string, ViewRow>>()
  readonly #generations = new Map<string, readonly ViewGeneration[]>()
  readonly #checkpoints = new Map<string, Checkpoint & { readonly commitId: string }>()
  readonly #leases = new Map<string, Lease>()
  /** Positions of the events of each commit that has some. */
  readonly #commits = new Map<string, readonly Position[]>()

  /** Decided one after another, so a commit sees those before it in the list that were stored, and no other. */
  append(commits: Request<'append'>): CommitOutcome[] {
    const failed = new FailedDependencies()
    return commits.map((commit) =>
      'failed' in commit
        ? failed.note(commit, { kind: 'failed', certain: true, cause: undefined })
        : failed.note(commit, findConflict(commit, this.#facts, failed) ?? this.#write(commit)),
    )
  }

  addViewGeneration({ name, generation, viewVersion }: Request<'addViewGeneration'>): boolean {
    const all = this.generations(name)
    const state = addedState(all, generation)
    if (state === undefined) return false
    const added = [...all, { generation, viewVersion, state }].sort((a, b) => a.generation - b.generation)
    this.#generations.set(name, added)
    return true
  }

  switchViewGeneration({ name, from, to }: Request<'switchViewGeneration'>): boolean {
    const all = this.generations(name)
    if (!canSwitch(all, from, to)) return false
    const stateOf = ({ generation, state }: ViewGeneration) =>
      generation === to ? 'live' : generation === from ? 'retired' : state
    const switched = all.map((one) => ({ ...one, state: stateOf(one) }))
    this.#generations.set(name, switched)
    return true
  }

  removeViewGeneration({ name, generation }: Request<'removeViewGeneration'>): boolean {
    const all = this.generations(name)
    if (liveGeneration(all) === generation) return false
    const left = all.filter((one) => one.generation !== generation)
    this.#generations.set(name, left)
    this.#views.delete(keyOf(name, generation))
    return true
  }

  acquireLease({ name, holder, ttlMs }: Request<'acquireLease'>, now: number): LeaseAnswer {
    const lease = this.#leases.get(name)
    if (lease?.holder !== undefined && lease.holder !== holder && lease.until > now)
      return { acquired: false, holder: lease.holder, remainingMs: lease.until - now }
    const fence = (lease?.fence ?? 0) + 1
    this.#leases.set(name, { holder, fence, until: now + ttlMs })
    return { acquired: true, fence }
  }

  renewLease({ name, fence, ttlMs }: Request<'renewLease'>, now: number): boolean {
    const lease = this.#leases.get(name)
    if (lease?.holder === undefined || lease.fence !== fence) return false
    this.#leases.set(name, { ...lease, until: now + ttlMs })
    return true
  }

  /** The fence stays behind, so that the next one is greater. */
  releaseLease({ name, fence }: Request<'releaseLease'>): void {
    const lease = this.#leases.get(name)
    if (lease?.fence === fence) this.#leases.set(name, { ...lease, holder: undefined })
  }

  aggregate(type: string, id: string): Aggregate | undefined {
    return this.#aggregates.get(keyOf(type, id))
  }

  idsOf(type: string): string[] {
    return [...this.#aggregates.values()].filter((aggregate) => aggregate.type === type).map(({ id }) => id)
  }

  views(name: string, generation: number | 'live'): ReadonlyMap<string, ViewRow> {
    const wanted = generation === 'live' ? liveGeneration(this.generations(name)) : generation
    return this.#views.get(keyOf(name, wanted)) ?? new Map()
  }

  generations(name: string): readonly ViewGeneration[] {
    return this.#generations.get(name) ?? []
  }

  checkpoint(name: string): Checkpoint | undefined {
    const found = this.#checkpoints.get(name)
    return found && { position: found.position, fence: found.fence }
  }

  /** What a commit could meet. A lookup of what nobody has written answers that there is nothing. */
  readonly #facts: CommitFacts = {
    positions: ({ id }) => this.#commits.get(id),
    checkpoint: (name) => {
      const lease = this.#leases.get(name)
      const { position = null, commitId = null } = this.#checkpoints.get(name) ?? {}
      return { fence: lease?.holder === undefined ? null : lease.fence, position, commitId }
    },
    hasKey: (append, key) => this.aggregate(append.aggregateType, append.aggregateId)?.keys.has(key) === true,
    head: (append) => this.aggregate(append.aggregateType, append.aggregateId)?.events.at(-1) ?? noEvents,
    generations: (name) => this.generations(name),
    viewVersion: ({ name, generation, id }) => this.views(name, generation).get(id)?.stored.version ?? 0,
  }

  /** Nothing is in the way any more, and nothing here can fail: all of the commit is written. */
  #write({ id, appends, key, views = [], checkpoint }: Commit): CommitOutcome {
    const before = this.feed.length
    for (const [i, append] of appends.entries()) this.#writeAppend(id, append, i === 0 ? key : undefined)
    for (const write of views) this.#writeView(write)
    if (checkpoint) this.#checkpoints.set(checkpoint.name, { ...checkpoint, commitId: id })
    const positions = this.feed.slice(before).map(({ position }) => position as Position)
    if (appends.length > 0) this.#commits.set(id, positions)
    return { kind: 'stored', positions }
  }

  #writeAppend(commitId: string, { aggregateType: type, aggregateId: id, events, snapshot }: Append, key: Commit['key']): void {
    const aggregate: Aggregate = this.aggregate(type, id) ?? { type, id, events: [], keys: new Map() }
    this.#aggregates.set(keyOf(type, id), aggregate)
    const firstSequence = aggregate.events.length + 1
    for (const sent of events) {
      const event = { ...sent, position: String(this.feed.length + 1) as Position }
      aggregate.events.push(event)
      this.feed.push(event)
    }
    const lastSequence = aggregate.events.length
    const version = (aggregate.snapshot?.version ?? 0) + 1
    if (snapshot) aggregate.snapshot = { ...snapshot, sequence: lastSequence, commitId, version }
    if (key) aggregate.keys.set(key.idempotencyKey, { commandHash: key.commandHash, commitId, firstSequence, lastSequence })
  }

  #writeView({ name, generation, id, expectedVersion, view, sequence, indexes = [] }: ViewWrite): void {
    const rows = this.#views.get(keyOf(name, generation)) ?? new Map<string, ViewRow>()
    this.#views.set(keyOf(name, generation), rows)
    const stored = { name, generation, id, version: expectedVersion + 1, view, ...(sequence !== undefined && { sequence }) }
    rows.set(id, { stored, indexes: new Map(indexes.map(({ index, value }) => [index, value])) })
  }
}

/** Unambiguous whatever the parts hold, which `${type}/${id}` is not. */
const keyOf = (...parts: readonly (string | number)[]): string => JSON.stringify(parts)
