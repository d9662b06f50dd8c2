import { StoreError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { Commit, CommitOutcome } from '../store/commit.ts'
import { FailedDependencies } from '../store/failed-dependencies.ts'
import type { PayloadFormat } from '../store/payload-format.ts'
import { type SerializedCommit, serializeCommit } from '../store/serialize-commit.ts'
import { findConflicts, type RoundFacts } from './facts.ts'
import { type Prepared, planRound, type Round } from './round.ts'

/** A database that stores rounds. */
export interface RoundDatabase {
  readonly format: PayloadFormat
  readonly limits: {
    readonly bytesPerEvent: number
    readonly bytesPerCommit: number
    /** Approximate bytes of JSON after which a round of several commits ends. */
    readonly bytesPerRound: number
  }
  /** Stores all of a round, or nothing. */
  storeRound(round: Round): Promise<RoundAnswer>
  understand(error: unknown): Failure
}

/**
 * The position of each event, or the facts that were found instead.
 *
 * If the check passed and the database still refused the rows, `refused` names the violated
 * constraint. It is `''` if the constraint has no name.
 */
export type RoundAnswer =
  | { readonly positions: readonly string[] }
  | { readonly facts: RoundFacts; readonly refused?: string | null }

/** Meaning of an error that `storeRound` threw. */
export interface Failure {
  readonly cause: unknown
  /** Nothing was stored, and nothing will be. */
  readonly certain: boolean
  /** A retry may succeed: the database rolled back this transaction in favor of another one. */
  readonly again: boolean
  /** A single member of the round may have caused the error. */
  readonly ofOneMember: boolean
}

/** Lost races in a row before `STORE_BUSY`. Each one means that another writer made progress. */
const racesAtMost = 100

/**
 * Refusals of a round without a conflict before it fails.
 *
 * A single refusal may be a race: the other row can be deleted before the facts are read. A
 * repeated one is caused by the rows themselves.
 */
const refusalsAtMost = 3

/**
 * Stores a batch in rounds, as `Store.append` requires; without conflicts, one call is enough.
 *
 * Conflicts are derived from the facts, and the other members are sent again. If one member may
 * have caused an error, each member is sent alone, with the same id.
 */
export async function appendBatch(database: RoundDatabase, commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
  const batch = new Batch(database)
  const prepared: Prepared[] = []
  commits.forEach((commit, at) => {
    try {
      prepared.push(prepare(commit, at, database))
    } catch (cause) {
      batch.settle({ at, commit }, { kind: 'failed', certain: true, cause })
    }
  })
  await batch.store(prepared)
  return batch.outcomes
}

/** The commits of one call and their outcomes so far. */
class Batch {
  readonly outcomes: CommitOutcome[] = []
  readonly #database: RoundDatabase
  readonly #failed = new FailedDependencies()

  constructor(database: RoundDatabase) {
    this.#database = database
  }

  settle({ at, commit }: Pick<Prepared, 'at' | 'commit'>, outcome: CommitOutcome): void {
    this.outcomes[at] = this.#failed.note(commit, outcome)
  }

  async store(commits: readonly Prepared[]): Promise<void> {
    let open = commits
    let races = 0
    let refusals = 0
    while (open.length > 0) {
      const { round, rest } = planRound(open, this.#database.limits.bytesPerRound)
      const answer = await this.#send(round)
      let failure: Failure | undefined
      if ('positions' in answer) this.#stored(round, answer.positions)
      else if ('facts' in answer) {
        const decided = findConflicts(round, answer.facts, this.#failed)
        if (decided.size > 0) {
          for (const [one, outcome] of decided) this.settle(one, outcome)
          races = 0
          refusals = 0
          open = inOrder([...round.members.filter((one) => !decided.has(one)), ...rest])
          continue
        }
        if (typeof answer.refused === 'string' && ++refusals === refusalsAtMost) failure = refusalOf(answer.refused)
        else if (++races <= racesAtMost) continue
        else failure = beaten()
      } else {
        failure = answer.failure
        if (failure.again && races++ < racesAtMost) continue
      }
      if (failure !== undefined) await this.#fail(round, failure)
      open = rest
    }
  }

  async #send(round: Round): Promise<RoundAnswer | { readonly failure: Failure }> {
    try {
      return await this.#database.storeRound(this.#isDoomed(round) ? impossible(round) : round)
    } catch (error) {
      return { failure: this.#database.understand(error) }
    }
  }

  #stored({ members }: Round, positions: readonly string[]): void {
    let from = 0
    for (const one of members) {
      const to = from + eventsIn(one.commit)
      this.settle(one, { kind: 'stored', positions: positions.slice(from, to) as Position[] })
      from = to
    }
  }

  async #fail({ members }: Round, { cause, certain, ofOneMember }: Failure): Promise<void> {
    if (ofOneMember && members.length > 1) for (const one of members) await this.store([one])
    else for (const one of members) this.settle(one, { kind: 'failed', certain, cause })
  }

  /**
   * Whether a member builds on a commit that was not stored.
   *
   * The other members count as stored for the members after them, until the database has responded.
   */
  #isDoomed({ members }: Round): boolean {
    let doomed = false
    for (const { commit } of members) {
      const { appends, views = [] } = commit
      if (appends.some((append) => this.#failed.blocks(append)) || views.some((write) => this.#failed.blocksView(write)))
        doomed = true
      else this.#failed.note(commit, { kind: 'stored', positions: [] })
    }
    return doomed
  }
}

/**
 * Copies the round with expectations that are never met, so that the database returns the facts.
 *
 * A real expectation could be met by chance, through another writer.
 */
const impossible = (round: Round): Round => ({
  ...round,
  roots: round.roots.map((root) => ({ ...root, s: -1 })),
  views: round.views.map((view) => ({ ...view, f: -1 })),
})

const beaten = (): Failure => ({
  cause: new StoreError(
    'STORE_BUSY',
    `Lost the race against other writers ${racesAtMost} times in a row. Nothing was stored. Retry later.`,
  ),
  certain: true,
  again: false,
  ofOneMember: false,
})

const refusalOf = (constraint: string): Failure => ({
  cause: new StoreError(
    'STORE_FAILED',
    constraint === ''
      ? "The database did not insert all rows. Nothing was stored. Look for a trigger or rule on the store's tables."
      : `The unique constraint "${constraint}" refused rows of the store. Nothing was stored. Remove it if it was added to the tables. If it is the store's own, look for a sequence that lags its table.`,
  ),
  certain: true,
  again: false,
  ofOneMember: true,
})

/** @throws StoreError when the commit is not JSON or exceeds a limit */
function prepare(commit: Commit, at: number, { format, limits }: RoundDatabase): Prepared {
  const texts = serializeCommit(commit, format)
  const bytes = sum(textsOf(texts), ({ length }) => length)
  // A UTF-16 unit is at most three bytes in UTF-8: count exactly only near a limit.
  if (bytes * 3 > Math.min(limits.bytesPerEvent, limits.bytesPerCommit)) checkSize(commit, texts, limits)
  return { at, commit, texts, bytes }
}

function checkSize(commit: Commit, texts: SerializedCommit, { bytesPerEvent, bytesPerCommit }: RoundDatabase['limits']): void {
  const encoder = new TextEncoder()
  const bytesOf = (text: string) => encoder.encode(text).length
  for (const [n, events] of texts.events.entries())
    for (const [i, { data, metadata }] of events.entries()) {
      const bytes = bytesOf(data) + bytesOf(metadata)
      if (bytes <= bytesPerEvent) continue
      const { id } = commit.appends[n]?.events[i] ?? {}
      throw new StoreError(
        'STORE_LIMIT',
        `Event ${id} has ${bytes} bytes of data and metadata; the limit is ${bytesPerEvent}. Nothing was stored. Store large values elsewhere and reference them.`,
      )
    }
  const bytes = sum(textsOf(texts), bytesOf)
  if (bytes > bytesPerCommit)
    throw new StoreError(
      'STORE_LIMIT',
      `Commit ${commit.id} has ${bytes} bytes; the limit is ${bytesPerCommit}. Nothing was stored. Store less in one commit.`,
    )
}

const textsOf = ({ events, snapshots, views }: SerializedCommit): readonly string[] => [
  ...events.flatMap((ofAppend) => ofAppend.flatMap(({ data, metadata }) => [data, metadata])),
  ...snapshots.filter((text) => text !== undefined),
  ...views,
]

const sum = <T>(items: readonly T[], of: (item: T) => number): number => items.reduce((total, item) => total + of(item), 0)

const eventsIn = ({ appends }: Commit): number => sum(appends, ({ events }) => events.length)

const inOrder = (batch: readonly Prepared[]): readonly Prepared[] => [...batch].sort((a, b) => a.at - b.at)
