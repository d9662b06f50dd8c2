import { StoreError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { Commit, CommitOutcome } from '../store/commit.ts'
import type { PayloadFormat } from '../store/payload-format.ts'
import { type CommitTexts, toTexts } from '../store/texts.ts'
import { Unstored } from '../store/unstored.ts'
import { decideRound, type Facts } from './decide.ts'
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

/** The position of each event, or what was found instead; `refused` is the constraint that the rows met, where it was one. */
export type RoundAnswer = { readonly positions: readonly string[] } | { readonly facts: Facts; readonly refused?: string | null }

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

/**
 * A batch as the port wants it, on a database that stores rounds: the good case is one call. Conflicts are found out from the facts, and what is left is sent again;
 * a round that fails for one member's sake is sent again member by member, with the same ids.
 */
export async function appendBatch(database: RoundDatabase, commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
  const outcomes = new Array<CommitOutcome>(commits.length)
  const unstored = new Unstored()
  const prepared: Prepared[] = []
  commits.forEach((commit, at) => {
    try {
      prepared.push(prepare(commit, at, database))
    } catch (cause) {
      outcomes[at] = unstored.note(commit, { kind: 'failed', certain: true, cause })
    }
  })
  await store(database, prepared, unstored, (one, outcome) => {
    outcomes[one.at] = unstored.note(one.commit, outcome)
  })
  return outcomes
}

/** @throws StoreError for what is not JSON, and for what is too large */
function prepare(commit: Commit, at: number, { format, limits }: RoundDatabase): Prepared {
  const texts = toTexts(commit, format)
  const bytes = sum(textsOf(texts), ({ length }) => length)
  // A UTF-16 unit is at most three bytes in UTF-8, so the exact count is only for what comes near a limit.
  if (bytes * 3 > Math.min(limits.bytesPerEvent, limits.bytesPerCommit)) checkSize(commit, texts, limits)
  return { at, commit, texts, bytes }
}

function checkSize(commit: Commit, texts: CommitTexts, { bytesPerEvent, bytesPerCommit }: RoundDatabase['limits']): void {
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

const textsOf = ({ events, snapshots, views }: CommitTexts): readonly string[] => [
  ...events.flatMap((ofAppend) => ofAppend.flatMap(({ data, metadata }) => [data, metadata])),
  ...snapshots.filter((text) => text !== undefined),
  ...views,
]

const sum = <T>(items: readonly T[], of: (item: T) => number): number => items.reduce((total, item) => total + of(item), 0)

const eventsIn = ({ appends }: Commit): number => sum(appends, ({ events }) => events.length)

async function store(
  database: RoundDatabase,
  batch: readonly Prepared[],
  unstored: Unstored,
  settle: (one: Prepared, outcome: CommitOutcome) => void,
): Promise<void> {
  let open = batch
  for (let races = 0; open.length > 0; ) {
    const { round, rest } = planRound(open, database.limits.bytesPerRound)
    const { members } = round
    const doomed = isDoomed(members, unstored)
    try {
      const answer = await database.storeRound(doomed ? impossible(round) : round)
      if ('positions' in answer) {
        let from = 0
        for (const one of members) {
          const to = from + eventsIn(one.commit)
          settle(one, { kind: 'stored', positions: answer.positions.slice(from, to) as Position[] })
          from = to
        }
        open = rest
        continue
      }
      const decided = decideRound(round, answer.facts, unstored)
      for (const [one, outcome] of decided) settle(one, outcome)
      const left = members.filter((one) => !decided.has(one))
      races = decided.size > 0 ? 0 : races + 1
      if (races > racesAtMost) throw beaten(answer.refused)
      open = inOrder([...left, ...rest])
    } catch (error) {
      const failure = database.understand(error)
      if (failure.again && races++ < racesAtMost) continue
      if (failure.ofOneMember && members.length > 1) {
        for (const one of members) await store(database, [one], unstored, settle)
      } else {
        for (const one of members) settle(one, { kind: 'failed', certain: failure.certain, cause: failure.cause })
      }
      open = rest
    }
  }
}

/** Whether one of the members builds on what was not stored. Those that do not are taken for stored by those behind them, until the database has answered. */
function isDoomed(members: readonly Prepared[], unstored: Unstored): boolean {
  let doomed = false
  for (const { commit } of members) {
    const { appends, views = [] } = commit
    if (appends.some((append) => unstored.isBelow(append)) || views.some((write) => unstored.isBelowView(write))) doomed = true
    else unstored.note(commit, { kind: 'stored', positions: [] })
  }
  return doomed
}

/** The same rows with expectations that nothing meets: the database answers the facts, also where what is expected is there by chance. */
const impossible = (round: Round): Round => ({
  ...round,
  roots: round.roots.map((root) => ({ ...root, s: -1 })),
  views: round.views.map((view) => ({ ...view, f: -1 })),
})

const beaten = (refused: string | null | undefined): StoreError =>
  new StoreError(
    'STORE_BUSY',
    `Other writers were first ${racesAtMost} times in a row: try again later.${refused ? ` (Each time "${refused}" refused the rows.)` : ''}`,
  )

const inOrder = (batch: readonly Prepared[]): readonly Prepared[] => [...batch].sort((a, b) => a.at - b.at)
