import { CqrsError, messageOf, OutcomeUnknownError, StoreError } from '../errors.ts'
import type { Observation } from '../observation.ts'
import type { Runtime } from '../runtime.ts'
import type { Commit, CommitOutcome } from '../store/commit.ts'
import type { Store } from '../store/store.ts'
import { resends, waitToResend } from './resend.ts'
import type { Settled } from './result.ts'
import { stopwatch } from './stopwatch.ts'

/** Microtasks to wait for more commits. Callers answered by the previous append usually return within this many. */
const microtasksToWait = 60

/** How commits are gathered. */
export interface Batching {
  /** Appends under way at the same time. */
  readonly lanes: number
  readonly maxCommits: number
  /** Characters of data in a batch, about. */
  readonly maxBytes: number
}

interface Scene {
  readonly store: Store
  readonly runtime: Runtime
  readonly observe: ((what: Observation) => void) | undefined
}

/** A commit whose outcome is not known yet. */
export class PendingCommit {
  readonly outcome: Promise<Settled>
  /** Surely not stored, or not known to be. */
  failed = false
  /** The commit of the same aggregate that this one was decided on, as long as it is not known to be stored. */
  predecessor: PendingCommit | undefined
  readonly commit: Commit
  readonly key: string
  readonly bytes: number
  sends = 0
  settle!: (outcome: Settled) => void
  refuse!: (error: unknown) => void

  constructor(commit: Commit, key: string, predecessor: PendingCommit | undefined) {
    this.commit = commit
    this.key = key
    this.predecessor = predecessor
    this.bytes = sizeOf(commit)
    this.outcome = new Promise((resolve, reject) => {
      this.settle = resolve
      this.refuse = reject
    })
  }
}

/**
 * Gathers the commits of commands that run at the same time into one append: those that come while one is under way, or in the same breath. A lone one goes at once. The first
 * to come goes first; commits of one aggregate never overtake each other, and never are in two appends at the same time.
 *
 * It also settles each commit's fate: after an unknown outcome only the same commit, sent again, can tell. Reading back "not there" proves
 * nothing, since the first may still land. So from then on a certain failure is no answer either, and nothing that builds on it is sent.
 */
export class CommitQueue {
  readonly #scene: Scene
  readonly #batching: Batching
  readonly #commands: { readonly inside: number }
  #waiting: PendingCommit[] = []
  readonly #busy = new Set<string>()
  #flying = 0
  #gathering = false

  /** `commands`: how many are under way, and so may have a commit to send. */
  constructor(scene: Scene, batching: Batching, commands: { readonly inside: number }) {
    this.#scene = scene
    this.#batching = batching
    this.#commands = commands
  }

  /** `key` names the aggregate it is for. Its outcome rejects with a StoreError when it was surely not stored, or an OutcomeUnknownError. */
  send(commit: Commit, key: string, predecessor: PendingCommit | undefined): PendingCommit {
    const pending = new PendingCommit(commit, key, predecessor?.failed === false ? predecessor : undefined)
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

  /** Those that wait for an append under way stay, and so do all behind them of the same aggregate. */
  #take(): PendingCommit[] {
    const { maxCommits, maxBytes } = this.#batching
    const batch: PendingCommit[] = []
    const left: PendingCommit[] = []
    const held = new Set<string>()
    let bytes = 0
    for (const pending of this.#waiting) {
      if (pending.predecessor?.failed) drop(pending)
      else if (
        batch.length >= maxCommits ||
        (batch.length > 0 && bytes + pending.bytes > maxBytes) ||
        this.#busy.has(pending.key) ||
        held.has(pending.key)
      ) {
        held.add(pending.key)
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
    const keys = new Set(batch.map(({ key }) => key))
    for (const key of keys) this.#busy.add(key)
    this.#flying++
    this.#start()
    await this.#append(batch).then((open) => Promise.all(byKey(open).map((one) => this.#sendAgain(one))))
    this.#flying--
    for (const key of keys) this.#busy.delete(key)
    this.#start()
  }

  /** One aggregate at a time, so that a commit which the server cannot stand takes no other down with it. */
  async #sendAgain(batch: readonly PendingCommit[]): Promise<void> {
    for (let open = batch; open.length > 0; ) open = await this.#append(open)
  }

  /** Those whose outcome is still unknown, after a while. */
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

function byKey(batch: readonly PendingCommit[]): readonly (readonly PendingCommit[])[] {
  const keys = new Map<string, PendingCommit[]>()
  for (const pending of batch) {
    const same = keys.get(pending.key)
    if (same === undefined) keys.set(pending.key, [pending])
    else same.push(pending)
  }
  return [...keys.values()]
}

/** A store that breaks its own rules has said nothing about what became of the commits. */
async function appendSafely(store: Store, batch: readonly PendingCommit[]): Promise<readonly CommitOutcome[]> {
  const all = (cause: unknown): CommitOutcome[] => batch.map(() => ({ kind: 'failed', certain: false, cause }))
  try {
    const outcomes = await store.append(batch.map(({ commit }) => commit))
    return outcomes.length === batch.length ? outcomes : all(new StoreError('STORE_FAILED', 'The store gave no outcome.'))
  } catch (cause) {
    return all(cause)
  }
}

/** False as long as it is not known. */
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

function settle(pending: PendingCommit, outcome: Settled): void {
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

/** What it was decided on was not stored, so neither is this: it was never sent. */
const drop = (pending: PendingCommit): void => settle(pending, { kind: 'conflict', on: 'sequence' })

const nameOf = ({ commit }: PendingCommit): string => {
  const [first] = commit.appends
  return first === undefined ? `the commit ${commit.id}` : `${first.aggregateType} '${first.aggregateId}'`
}

/** The framework's own errors as they are, a driver's inside a `StoreError`. */
const storeFailure = (pending: PendingCommit, cause: unknown): CqrsError =>
  cause instanceof CqrsError
    ? cause
    : new StoreError('STORE_FAILED', `Storing events of ${nameOf(pending)} failed: ${messageOf(cause)}`, cause)

const outcomeUnknown = (pending: PendingCommit, cause: unknown): CqrsError =>
  new OutcomeUnknownError(
    `It is not known whether the events of ${nameOf(pending)} (commit ${pending.commit.id}) were stored: the store could not be reached again. ${advice(pending.commit)}`,
    cause,
  )

const advice = ({ key }: Commit): string =>
  key === undefined
    ? 'The command had no idempotencyKey: before it is repeated, look for events with this commitId.'
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

/** For whoever observes. */
function aggregateOf({ appends: [first] }: Commit): { readonly aggregateType: string; readonly aggregateId: string } {
  return { aggregateType: first?.aggregateType ?? '', aggregateId: first?.aggregateId ?? '' }
}

/** Characters of JSON in a commit, about: to count exactly would be to write it twice. */
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
