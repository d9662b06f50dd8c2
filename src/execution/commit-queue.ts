import { CqrsError, messageOf, OutcomeUnknownError, StoreError } from '../errors.ts'
import type { Observation } from '../observation.ts'
import type { Runtime } from '../runtime.ts'
import type { Commit, CommitOutcome } from '../store/commit.ts'
import type { Store } from '../store/store.ts'
import { resends, waitToResend } from './resend.ts'
import type { CommitResult } from './result.ts'
import { stopwatch } from './stopwatch.ts'

/**
 * Microtasks to wait for more commits. Callers answered by the previous append usually return
 * within this many.
 */
const microtasksToWait = 60

/** Limits of group commit. */
export interface Batching {
  /** Appends in flight at the same time. */
  readonly lanes: number
  readonly maxCommits: number
  /** Characters of data in a batch, approximately. */
  readonly maxBytes: number
}

interface Scene {
  readonly store: Store
  readonly runtime: Runtime
  readonly observe: ((what: Observation) => void) | undefined
}

/** The commits of one place never overtake one another. */
export interface Place {
  /** One of its commits is in an append, so the next one waits. */
  isInFlight: boolean
}

/** Returns the place of a commit that no other one follows. */
export const placeOfOne = (): Place => ({ isInFlight: false })

/** A commit whose outcome is not known yet. */
export class PendingCommit {
  readonly outcome: Promise<CommitResult>
  /** Not stored, or not known to be. */
  failed = false
  /**
   * The commit of the same aggregate that this one was decided on, until it is known to be stored.
   */
  predecessor: PendingCommit | undefined
  readonly commit: Commit
  readonly place: Place
  readonly bytes: number
  sends = 0
  settle!: (outcome: CommitResult) => void
  refuse!: (error: unknown) => void

  constructor(commit: Commit, place: Place, predecessor: PendingCommit | undefined) {
    this.commit = commit
    this.place = place
    this.predecessor = predecessor
    this.bytes = sizeOf(commit)
    this.outcome = new Promise((resolve, reject) => {
      this.settle = resolve
      this.refuse = reject
    })
  }
}

/**
 * Group commit: gathers the commits of concurrent commands into one append.
 *
 * Commits that arrive while an append is in flight form the next batch, in order of arrival. A lone
 * commit is sent at once. Commits of one aggregate never overtake one another, and are never in two
 * appends at the same time.
 *
 * The queue also finds out what became of each commit. After an unknown outcome only a resend of
 * the same commit can tell: reading back "not there" proves nothing, since the first may still
 * arrive. Until then a certain failure is no answer either, and no commit that builds on it is
 * sent.
 */
export class CommitQueue {
  readonly #scene: Scene
  readonly #batching: Batching
  readonly #commands: { readonly inside: number }
  #waiting: PendingCommit[] = []
  #flying = 0
  #gathering = false

  /** `commands`: the commands in progress, each of which may have a commit to send. */
  constructor(scene: Scene, batching: Batching, commands: { readonly inside: number }) {
    this.#scene = scene
    this.#batching = batching
    this.#commands = commands
  }

  /**
   * `place` is that of the aggregate. The outcome rejects with a StoreError if the commit was not stored,
   * or with an OutcomeUnknownError.
   */
  send(commit: Commit, place: Place, predecessor: PendingCommit | undefined): PendingCommit {
    const pending = new PendingCommit(commit, place, predecessor?.failed === false ? predecessor : undefined)
    if (predecessor?.failed) drop(pending)
    else {
      this.#waiting.push(pending)
      this.#start()
    }
    return pending
  }

  #start(): void {
    if (this.#gathering || this.#waiting.length === 0 || this.#flying >= this.#batching.lanes) return
    this.#gathering = true
    void this.#gather().then(() => {
      this.#gathering = false
      const batch = this.#take()
      if (batch.length > 0) void this.#fly(batch)
    })
  }

  async #gather(): Promise<void> {
    const { maxCommits } = this.#batching
    const mayCome = () => Math.min(maxCommits, this.#commands.inside)
    for (let step = 0, seen = 0; step < microtasksToWait && this.#waiting.length < mayCome(); step++) {
      if (this.#waiting.length > seen) step = 0
      seen = this.#waiting.length
      await undefined
    }
  }

  /**
   * Takes the next batch. A commit whose aggregate is in flight stays, and so do later ones of that
   * aggregate.
   */
  #take(): PendingCommit[] {
    const { maxCommits, maxBytes } = this.#batching
    const batch: PendingCommit[] = []
    const left: PendingCommit[] = []
    const held = new Set<Place>()
    let bytes = 0
    for (const pending of this.#waiting) {
      if (pending.predecessor?.failed) drop(pending)
      else if (
        batch.length >= maxCommits ||
        (batch.length > 0 && bytes + pending.bytes > maxBytes) ||
        pending.place.isInFlight ||
        held.has(pending.place)
      ) {
        held.add(pending.place)
        left.push(pending)
      } else {
        batch.push(pending)
        bytes += pending.bytes
      }
    }
    this.#waiting = left
    return batch
  }

  async #fly(batch: readonly PendingCommit[]): Promise<void> {
    for (const { place } of batch) place.isInFlight = true
    this.#flying++
    this.#start()
    await this.#append(batch).then((open) => Promise.all(byPlace(open).map((one) => this.#sendAgain(one))))
    this.#flying--
    for (const { place } of batch) place.isInFlight = false
    this.#start()
  }

  /** Resends one aggregate at a time, so that a commit which breaks the server fails no other. */
  async #sendAgain(batch: readonly PendingCommit[]): Promise<void> {
    for (let open = batch; open.length > 0; ) open = await this.#append(open)
  }

  /** Returns the commits whose outcome is still unknown, after a wait. */
  async #append(batch: readonly PendingCommit[]): Promise<readonly PendingCommit[]> {
    const { store, runtime, observe } = this.#scene
    const ms = stopwatch(this.#scene)
    const outcomes = await appendSafely(store, batch)
    if (observe !== undefined) report(observe, batch, outcomes, ms())
    const unknown = batch.filter((pending, i) => !settled(pending, outcomes[i] as CommitOutcome))
    const [first] = unknown
    if (first === undefined) return []
    for (const { commit, sends } of unknown)
      observe?.({ kind: 'retry', ...aggregateOf(commit), attempt: sends, on: 'unknown-outcome' })
    await waitToResend(runtime, first.sends)
    return unknown
  }
}

function byPlace(batch: readonly PendingCommit[]): readonly (readonly PendingCommit[])[] {
  const places = new Map<Place, PendingCommit[]>()
  for (const pending of batch) {
    const same = places.get(pending.place)
    if (same === undefined) places.set(pending.place, [pending])
    else same.push(pending)
  }
  return [...places.values()]
}

/** A store that violates its contract leaves the outcome of all commits unknown. */
async function appendSafely(store: Store, batch: readonly PendingCommit[]): Promise<readonly CommitOutcome[]> {
  const all = (cause: unknown): CommitOutcome[] => batch.map(() => ({ kind: 'failed', certain: false, cause }))
  try {
    const outcomes = await store.append(batch.map(({ commit }) => commit))
    return outcomes.length === batch.length
      ? outcomes
      : all(new StoreError('STORE_FAILED', 'The store returned a wrong number of outcomes.'))
  } catch (cause) {
    return all(cause)
  }
}

/** Returns false while the outcome is unknown. */
function settled(pending: PendingCommit, outcome: CommitOutcome): boolean {
  pending.sends++
  if (outcome.kind !== 'failed') {
    settle(pending, outcome)
    return true
  }
  const wasUnknown = pending.sends > 1
  if (outcome.certain && !wasUnknown) return refuse(pending, storeFailure(pending, outcome.cause))
  return pending.sends <= resends ? false : refuse(pending, outcomeUnknown(pending, outcome.cause))
}

function settle(pending: PendingCommit, outcome: CommitResult): void {
  pending.failed = outcome.kind === 'conflict'
  pending.predecessor = undefined
  pending.settle(outcome)
}

function refuse(pending: PendingCommit, error: CqrsError): true {
  pending.failed = true
  pending.predecessor = undefined
  pending.refuse(error)
  return true
}

/** Its predecessor was not stored, so it was never sent. */
const drop = (pending: PendingCommit): void => settle(pending, { kind: 'conflict', on: 'sequence' })

const nameOf = ({ commit }: PendingCommit): string => {
  const [first] = commit.appends
  return first === undefined ? `the commit ${commit.id}` : `${first.aggregateType} '${first.aggregateId}'`
}

/** Passes on errors of this package, and wraps those of a driver. */
const storeFailure = (pending: PendingCommit, cause: unknown): CqrsError =>
  cause instanceof CqrsError
    ? cause
    : new StoreError('STORE_FAILED', `Storing events of ${nameOf(pending)} failed: ${messageOf(cause)}`, cause)

const outcomeUnknown = (pending: PendingCommit, cause: unknown): CqrsError =>
  new OutcomeUnknownError(
    `The store became unreachable: it is unknown whether the events of ${nameOf(pending)} (commit ${pending.commit.id}) were stored. ${advice(pending.commit)}`,
    cause,
  )

const advice = ({ key }: Commit): string =>
  key === undefined
    ? 'The command had no idempotencyKey: look for events with this commitId before you repeat it.'
    : `Repeat the command with the same idempotencyKey ('${key.idempotencyKey}').`

function report(
  observe: (what: Observation) => void,
  batch: readonly PendingCommit[],
  outcomes: readonly CommitOutcome[],
  ms: number,
): void {
  for (const [i, { commit }] of batch.entries()) {
    const events = commit.appends.reduce((sum, append) => sum + append.events.length, 0)
    const outcome = (outcomes[i] as CommitOutcome).kind
    observe({ kind: 'append', ...aggregateOf(commit), commitId: commit.id, events, outcome, batch: batch.length, ms })
  }
}

/** For observers. */
function aggregateOf({ appends: [first] }: Commit): { readonly aggregateType: string; readonly aggregateId: string } {
  return { aggregateType: first?.aggregateType ?? '', aggregateId: first?.aggregateId ?? '' }
}

/**
 * Characters of JSON in a commit, approximately: an exact count would be a second serialization.
 */
function sizeOf({ appends, views = [] }: Commit): number {
  let size = 100
  for (const { events, snapshot } of appends) {
    size += weigh(snapshot?.state)
    for (const { data, metadata } of events) size += 200 + weigh(data) + weigh(metadata)
  }
  for (const { view } of views) size += weigh(view)
  return size
}

function weigh(value: unknown): number {
  if (typeof value === 'string') return value.length + 2
  if (typeof value !== 'object' || value === null) return 8
  let size = 2
  for (const key in value) size += key.length + 3 + weigh((value as Record<string, unknown>)[key])
  return size
}
