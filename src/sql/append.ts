import { StoreError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { Commit, CommitOutcome } from '../store/commit.ts'
import type { PayloadFormat } from '../store/payload-format.ts'
import { type CommitTexts, toTexts } from '../store/texts.ts'
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

/**
 * The position of each event, or what was found instead. `refused`: the rows were checked and then refused all the same, by this constraint, or by none that has a
 * name (`''`).
 */
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

/** Whoever was quicker is found, unless his rows are gone again by then. Rows that are refused again and again with nobody there are refused for what they are. */
const refusalsAtMost = 3

/**
 * A batch as the port wants it, on a database that stores rounds: the good case is one call. Conflicts are found out from the facts, and what is left is sent again;
 * a round that fails for one member's sake is sent again member by member, with the same ids.
 */
export async function appendBatch(database: RoundDatabase, commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
  const outcomes = new Array<CommitOutcome>(commits.length)
  const prepared: Prepared[] = []
  commits.forEach((commit, at) => {
    try {
      prepared.push(prepare(commit, at, database))
    } catch (cause) {
      outcomes[at] = { kind: 'failed', certain: true, cause }
    }
  })
  await store(database, prepared, (one, outcome) => {
    outcomes[one.at] = outcome
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
  settle: (one: Prepared, outcome: CommitOutcome) => void,
): Promise<void> {
  let open = batch
  let races = 0
  let refusals = 0
  while (open.length > 0) {
    const { round, rest } = planRound(open, database.limits.bytesPerRound)
    const { members } = round
    const fail = async ({ cause, certain, ofOneMember }: Failure) => {
      if (ofOneMember && members.length > 1) for (const one of members) await store(database, [one], settle)
      else for (const one of members) settle(one, { kind: 'failed', certain, cause })
      open = rest
    }
    let answer: RoundAnswer
    try {
      answer = await database.storeRound(round)
    } catch (error) {
      const failure = database.understand(error)
      if (!failure.again || races++ >= racesAtMost) await fail(failure)
      continue
    }
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
    const decided = decideRound(round, answer.facts)
    for (const [one, outcome] of decided) settle(one, outcome)
    if (decided.size > 0) {
      races = 0
      refusals = 0
      open = inOrder([...members.filter((one) => !decided.has(one)), ...rest])
    } else if (typeof answer.refused === 'string' && ++refusals === refusalsAtMost) await fail(refusalOf(answer.refused))
    else if (++races > racesAtMost) await fail(beaten())
  }
}

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

const inOrder = (batch: readonly Prepared[]): readonly Prepared[] => [...batch].sort((a, b) => a.at - b.at)
