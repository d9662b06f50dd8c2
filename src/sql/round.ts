import type { Commit, ViewWrite } from '../store/commit.ts'
import { type Head, isDecidedOn } from '../store/head.ts'
import type { SerializedCommit } from '../store/serialize-commit.ts'

/** A commit with its JSON texts and its index in the batch. */
export interface Prepared {
  readonly at: number
  readonly commit: Commit
  readonly texts: SerializedCommit
  /** Approximate size. */
  readonly bytes: number
}

/**
 * Commits that are stored together, in one call, if none of them has a conflict.
 *
 * Commits on the same aggregate or view row build on one another, so the database checks each of
 * these once. It compares the last sequence of an aggregate with `s`, and the version of a row with
 * `f`.
 */
export interface Round {
  readonly members: readonly Prepared[]
  /** The expected last event of each aggregate before the round. */
  readonly roots: readonly RootRow[]
  /** In list order, which becomes the order of their positions. */
  readonly events: readonly EventInput[]
  readonly snapshots: readonly SnapshotRow[]
  readonly keys: readonly KeyRow[]
  /** The generations of the view rows. */
  readonly generations: readonly GenerationRow[]
  readonly views: readonly ViewRow[]
  readonly indexes: readonly IndexRow[]
  readonly checkpoints: readonly CheckpointRow[]
}

/** The columns of all rows have names of one letter, because the names are sent with every row. */
export interface RootRow {
  readonly t: string
  readonly i: string
  readonly s: number
  /** Expected commit id of the event at `s`, if the commit has one. */
  readonly c?: string
}

export interface EventInput {
  readonly t: string
  readonly i: string
  readonly s: number
  readonly e: string
  readonly v: string
  /** JSON texts of data and metadata. */
  readonly d: string
  readonly m: string
  readonly r: string
  readonly c: string
}

export interface SnapshotRow {
  readonly t: string
  readonly i: string
  readonly s: number
  readonly v: string
  /** JSON text of the state. */
  readonly d: string
  /** Number of snapshots of this aggregate in the round, which this one replaces. */
  readonly n: number
}

export interface KeyRow {
  readonly t: string
  readonly i: string
  readonly k: string
  readonly h: string
  readonly c: string
  readonly f: number
  readonly l: number
}

export interface GenerationRow {
  readonly n: string
  readonly g: number
}

export interface ViewRow extends GenerationRow {
  readonly i: string
  /** The expected version, and the new one. */
  readonly f: number
  readonly v: number
  /** JSON text of the view. */
  readonly d: string
  readonly s: number | null
}

export interface IndexRow extends GenerationRow {
  readonly i: string
  readonly x: string
  readonly v: string
}

export interface CheckpointRow {
  readonly n: string
  readonly p: string
  readonly f: number
  readonly c: string
  /** The expected position, or an empty list if none is expected. */
  readonly e: readonly (string | null)[]
}

/** Joins names into a text that no other names can produce. */
export const joined = (...names: readonly (string | number)[]): string => names.join('\0')

/**
 * Takes as many of the commits as fit together, in list order, and returns the others as `rest`.
 *
 * A commit that touches the same thing as an earlier one in `rest` is also left there, so that
 * commits on the same thing never overtake each other.
 */
export function planRound(
  batch: readonly Prepared[],
  bytesAtMost: number,
): { readonly round: Round; readonly rest: readonly Prepared[] } {
  const plan = new Plan(bytesAtMost)
  const rest = batch.filter((one) => !plan.take(one))
  return { round: plan.round(), rest }
}

interface ViewPlan {
  readonly first: number
  last: ViewWrite
  text: string
}

class Plan {
  #bytesLeft: number
  readonly #members: Prepared[] = []
  readonly #blocked = new Set<string>()
  /** The last event of each aggregate after the commits that were taken so far. */
  readonly #heads = new Map<string, Head>()
  readonly #roots: RootRow[] = []
  readonly #events: EventInput[] = []
  readonly #snapshots = new Map<string, SnapshotRow>()
  readonly #keys = new Map<string, KeyRow>()
  readonly #views = new Map<string, ViewPlan>()
  readonly #checkpoints = new Map<string, CheckpointRow>()

  constructor(bytesAtMost: number) {
    this.#bytesLeft = bytesAtMost
  }

  take(one: Prepared): boolean {
    const hasRoom = this.#members.length === 0 || one.bytes <= this.#bytesLeft
    const touched = touches(one.commit)
    if (!hasRoom || touched.some((what) => this.#blocked.has(what)) || !this.#fits(one.commit)) {
      for (const what of touched) this.#blocked.add(what)
      return false
    }
    this.#members.push(one)
    this.#bytesLeft -= one.bytes
    this.#add(one)
    return true
  }

  round(): Round {
    const generations = new Map<string, GenerationRow>()
    const views: ViewRow[] = []
    const indexes: IndexRow[] = []
    for (const { first, last, text } of this.#views.values()) {
      const { name: n, generation: g, id: i } = last
      generations.set(joined(n, g), { n, g })
      views.push({ n, g, i, f: first, v: last.expectedVersion + 1, d: text, s: last.sequence ?? null })
      if (last.view === null) continue
      for (const { index, value } of last.indexes ?? []) indexes.push({ n, g, i, x: index, v: value })
    }
    return {
      members: this.#members,
      roots: this.#roots,
      events: this.#events,
      snapshots: [...this.#snapshots.values()],
      keys: [...this.#keys.values()],
      generations: [...generations.values()],
      views,
      indexes,
      checkpoints: [...this.#checkpoints.values()],
    }
  }

  #fits({ appends, views = [], key, checkpoint }: Commit): boolean {
    const [first] = appends
    if (checkpoint !== undefined && this.#checkpoints.has(checkpoint.name)) return false
    if (key !== undefined && first !== undefined && this.#keys.has(keyOf(first, key.idempotencyKey))) return false
    const follows = appends.every((append) => {
      const head = this.#heads.get(joined(append.aggregateType, append.aggregateId))
      return head === undefined || isDecidedOn(append, head)
    })
    return (
      follows &&
      views.every((write) => {
        const planned = this.#views.get(viewOf(write))
        return planned === undefined || planned.last.expectedVersion + 1 === write.expectedVersion
      })
    )
  }

  #add({ commit, texts }: Prepared): void {
    const { id: c, appends, views = [], key, checkpoint } = commit
    appends.forEach((append, at) => {
      const { aggregateType: t, aggregateId: i, expectedSequence: s, expectedCommitId, events, snapshot } = append
      const place = joined(t, i)
      if (!this.#heads.has(place)) this.#roots.push({ t, i, s, ...(expectedCommitId !== undefined && { c: expectedCommitId }) })
      this.#heads.set(place, { sequence: s + events.length, commitId: c })
      events.forEach(({ type: e, version: v, recordedAt: r }, n) => {
        const { data: d = '', metadata: m = '' } = texts.events[at]?.[n] ?? {}
        this.#events.push({ t, i, s: s + 1 + n, e, v, r, c, d, m })
      })
      const d = texts.snapshots[at]
      if (snapshot === undefined || d === undefined) return
      const n = (this.#snapshots.get(place)?.n ?? 0) + 1
      this.#snapshots.set(place, { t, i, s: s + events.length, v: snapshot.stateVersion, d, n })
    })
    const [first] = appends
    if (key !== undefined && first !== undefined) {
      const { aggregateType: t, aggregateId: i, expectedSequence: s, events } = first
      const { idempotencyKey: k, commandHash: h } = key
      this.#keys.set(keyOf(first, k), { t, i, k, h, c, f: s + 1, l: s + events.length })
    }
    views.forEach((write, at) => {
      const planned = this.#views.get(viewOf(write))
      const text = texts.views[at] ?? 'null'
      this.#views.set(viewOf(write), { first: planned?.first ?? write.expectedVersion, last: write, text })
    })
    if (checkpoint === undefined) return
    const { name: n, position: p, fence: f, expectedPosition } = checkpoint
    this.#checkpoints.set(n, { n, p, f, c, e: expectedPosition === undefined ? [] : [expectedPosition] })
  }
}

export const keyOf = (append: { readonly aggregateType: string; readonly aggregateId: string }, idempotencyKey: string): string =>
  joined(append.aggregateType, append.aggregateId, idempotencyKey)

export const viewOf = ({
  name,
  generation,
  id,
}: {
  readonly name: string
  readonly generation: number
  readonly id: string
}): string => joined(name, generation, id)

/** Everything a commit reads or writes that other commits may touch as well. */
function touches({ appends, views = [], key, checkpoint }: Commit): readonly string[] {
  const [first] = appends
  return [
    ...appends.map(({ aggregateType, aggregateId }) => `a${joined(aggregateType, aggregateId)}`),
    ...views.map((write) => `v${viewOf(write)}`),
    ...(key !== undefined && first !== undefined ? [`k${keyOf(first, key.idempotencyKey)}`] : []),
    ...(checkpoint === undefined ? [] : [`c${checkpoint.name}`]),
  ]
}
