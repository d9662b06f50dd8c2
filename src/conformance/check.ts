import { isCqrsError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { Commit, CommitOutcome } from '../store/commit.ts'
import type { Store } from '../store/store.ts'

type ConflictOn = Extract<CommitOutcome, { kind: 'conflict' }>['on']

/** The failure of a case, with the actual and the expected value; test runners show a diff. */
export class ConformanceFailure extends Error {
  readonly expected: unknown
  readonly actual: unknown
  constructor(message: string, actual: unknown, expected: unknown) {
    super(`${message}: expected ${brief(expected)}, got ${brief(actual)}`)
    this.name = 'ConformanceFailure'
    this.expected = expected
    this.actual = actual
  }
}

/** Checks that JSON is deep-equal. An `undefined` property counts as absent. */
export function equal(what: string, actual: unknown, expected: unknown): void {
  if (!same(actual, expected)) throw new ConformanceFailure(what, actual, expected)
}

/** Checks a condition, for values that are too large to show. */
export function holds(what: string, condition: boolean): void {
  if (!condition) throw new ConformanceFailure(what, false, true)
}

export async function rejects(what: string, code: string, call: () => Promise<unknown>): Promise<Error> {
  let answer: unknown
  try {
    answer = await call()
  } catch (error) {
    if (isCqrsError(error) && error.code === code) return error
    throw new ConformanceFailure(`${what} rejects`, isCqrsError(error) ? error.code : error, code)
  }
  throw new ConformanceFailure(`${what} rejects`, answer, code)
}

/** Sends one commit alone. */
export async function send(store: Store, commit: Commit): Promise<CommitOutcome> {
  const outcomes = await store.append([commit])
  equal('outcomes of a batch of one', outcomes.length, 1)
  return outcomes[0] as CommitOutcome
}

/** Sends commits one after another, all of which must be stored. Returns their positions. */
export async function stores(store: Store, ...commits: readonly Commit[]): Promise<readonly Position[]> {
  const positions: Position[] = []
  for (const commit of commits) positions.push(...stored(await send(store, commit)))
  return positions
}

export function stored(outcome: CommitOutcome | undefined): readonly Position[] {
  if (outcome?.kind !== 'stored') throw new ConformanceFailure('the outcome', outcome, { kind: 'stored' })
  return outcome.positions
}

export function repeated(outcome: CommitOutcome | undefined, positions: readonly Position[]): void {
  equal('the outcome of the commit sent again', outcome, { kind: 'repeated', positions })
}

export function conflicts(outcome: CommitOutcome | undefined, on: ConflictOn, actualSequence?: number): void {
  const expected = { kind: 'conflict', on, actualSequence }
  const compared = actualSequence === undefined && outcome ? { ...outcome, actualSequence: undefined } : outcome
  equal('the outcome', compared, expected)
}

/** Checks that a commit failed, is certainly not stored, and has this code, if one is given. */
export function failed(outcome: CommitOutcome | undefined, code?: string): unknown {
  if (outcome?.kind !== 'failed') throw new ConformanceFailure('the outcome', outcome, { kind: 'failed', certain: true })
  equal('the failure is certain', outcome.certain, true)
  if (code !== undefined) equal('the code of the cause', (outcome.cause as { code?: unknown }).code, code)
  return outcome.cause
}

export const kinds = (outcomes: readonly CommitOutcome[]): readonly string[] => outcomes.map(({ kind }) => kind)

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => same(item, b[i]))
  const left = present(a)
  const right = new Map(present(b))
  return left.length === right.size && left.every(([key, value]) => right.has(key) && same(value, right.get(key)))
}

const present = (value: object) => Object.entries(value).filter(([, inner]) => inner !== undefined)

function brief(value: unknown): string {
  const text = value instanceof Error ? `${value.name}: ${value.message}` : toJson(value)
  return text.length > 300 ? `${text.slice(0, 300)}…` : text
}

function toJson(value: unknown): string {
  try {
    return (
      JSON.stringify(value, (_, inner) => (inner instanceof Error ? `${inner.name}: ${inner.message}` : inner)) ?? String(value)
    )
  } catch {
    return String(value)
  }
}
