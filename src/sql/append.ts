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
    /** A round of several commits ends before it would have more. */
    readonly bytesPerRound: number
  }
  /** Stores all of a round, or nothing. */
  storeRound(round: Round): Promise<RoundAnswer>
  understand(error: unknown): Failure
}

/**
 * The position of each event, or what was found instead. `refused`: the rows were checked and then refused all the same, by this constraint, or by none that has a
 * name (`''`).
 */
export type RoundAnswer =
  | { readonly positions: readonly string[] }
  | { readonly facts: RoundFacts; readonly refused?: string | null }

/** What it means that `storeRound` failed. */
export interface Failure {
  readonly cause: unknown
  /** Surely nothing was stored, and never will be. */
  readonly certain: boolean
  /** Another try may do, since the database gave up this transaction for another one's sake. */
  readonly again: boolean
  /** One member may be what the database does not like. */
  readonly ofOneMember: boolean
}

/** Somebody else gets ahead with each lost race, so even a crowd comes to an end. */
const racesAtMost = 100

/** Whoever was quicker is found, unless his rows are gone again by then. Rows that are refused again and again with nobody there are refused for what they are. */
const refusalsAtMost = 3

/**
 * A batch as the port wants it, on a database that stores rounds: the good case is one call. Conflicts are found out from the facts, and what is left is sent again;
 * a round that fails for one member's sake is sent again member by member, with the same ids.
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

/** The commits of one call, and what has become of them so far. */
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

  /** Whether one of the members builds on what was not stored. Those that do not are taken for stored by those behind them, until the database has answered. */
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

/** The same rows with expectations that nothing meets: the database answers the facts, also where what is expected is there by chance. */
const impossible = (round: Round): Round => ({
  ...round,
  roots: round.roots.map((root) => ({ ...root, s: -1 })),
  views: round.views.map((view) => ({ ...view, f: -1 })),
})

const beaten = (): Failure => ({
  cause: new StoreError('STORE_BUSY', `Other writers were first ${racesAtMost} times in a row: try again later.`),
  certain: true,
  again: false,
  ofOneMember: false,
})

const refusalOf = (constraint: string): Failure => ({
  cause: new StoreError(
    'STORE_FAILED',
    constraint === ''
      ? 'The database left out rows of the store: look for a trigger or a rule on its tables.'
      : `The database refused rows of the store for "${constraint}": look for a unique constraint that was added to its tables, or, when the name is the store's own, for a sequence that is behind its table.`,
  ),
  certain: true,
  again: false,
  ofOneMember: true,
})

/** @throws StoreError for what is not JSON, and for what is too large */
function prepare(commit: Commit, at: number, { format, limits }: RoundDatabase): Prepared {
  const texts = serializeCommit(commit, format)
  const bytes = sum(textsOf(texts), ({ length }) => length)
  // A UTF-16 unit is at most three bytes in UTF-8, so the exact count is only for what comes near a limit.
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
        `The event ${id} has ${bytes} bytes of data and metadata; the store takes ${bytesPerEvent}.`,
      )
    }
  const bytes = sum(textsOf(texts), bytesOf)
  if (bytes > bytesPerCommit)
    throw new StoreError('STORE_LIMIT', `The commit ${commit.id} has ${bytes} bytes; the store takes ${bytesPerCommit} at once.`)
}

const textsOf = ({ events, snapshots, views }: SerializedCommit): readonly string[] => [
  ...events.flatMap((ofAppend) => ofAppend.flatMap(({ data, metadata }) => [data, metadata])),
  ...snapshots.filter((text) => text !== undefined),
  ...views,
]

const sum = <T>(items: readonly T[], of: (item: T) => number): number => items.reduce((total, item) => total + of(item), 0)

const eventsIn = ({ appends }: Commit): number => sum(appends, ({ events }) => events.length)

const inOrder = (batch: readonly Prepared[]): readonly Prepared[] => [...batch].sort((a, b) => a.at - b.at)
