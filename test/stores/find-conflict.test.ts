import {
  type CheckpointFacts,
  type Commit,
  type CommitFacts,
  type CommitOutcome,
  FailedDependencies,
  findConflict,
  noEvents,
  type Position,
  type ViewGeneration,
} from 'cqrs-es/store'
import { describe, expect, test } from 'vitest'

const append = { aggregateType: 'account', aggregateId: 'a', expectedSequence: 3, expectedCommitId: 'c3', events: [] }
const row = { name: 'balances', generation: 2, id: 'a', expectedVersion: 5, view: {} }
const whole: Commit = {
  id: 'c4',
  appends: [append],
  key: { idempotencyKey: 'k', commandHash: 'h' },
  views: [row],
  checkpoint: { name: 'mailer', fence: 7, position: '2', expectedPosition: '1' },
}

/** CommitFacts that the whole commit fits, with what is asked for written down. */
function factsWith(changed: Partial<CommitFacts> = {}) {
  const asked: string[] = []
  const fitting: CommitFacts = {
    positions: () => undefined,
    checkpoint: () => ({ fence: 7, position: '1', commitId: 'before' }),
    hasKey: () => false,
    head: () => ({ sequence: 3, commitId: 'c3' }),
    generations: () => [{ generation: 2, viewVersion: '2', state: 'live' }],
    viewVersion: () => 5,
    ...changed,
  }
  const facts = new Proxy(fitting, {
    get(target, name: keyof CommitFacts) {
      asked.push(name)
      return target[name]
    },
  })
  return { facts, asked }
}

const found = (commit: Commit, changed?: Partial<CommitFacts>, unstored = new FailedDependencies()) =>
  findConflict(commit, factsWith(changed).facts, unstored)

const standing = (rest: Partial<CheckpointFacts>): Partial<CommitFacts> => ({
  checkpoint: () => ({ fence: 7, position: '1', commitId: 'before', ...rest }),
})

const retired: ViewGeneration[] = [
  { generation: 2, viewVersion: '2', state: 'retired' },
  { generation: 3, viewVersion: '3', state: 'live' },
]

/** Each with what makes it, in the order of the port. */
const reasons: readonly (readonly [CommitOutcome, Partial<CommitFacts>])[] = [
  [{ kind: 'repeated', positions: ['9' as Position] }, { positions: () => ['9' as Position] }],
  [{ kind: 'conflict', on: 'fence' }, standing({ fence: 8 })],
  [{ kind: 'conflict', on: 'key' }, { hasKey: () => true }],
  [{ kind: 'conflict', on: 'sequence', actualSequence: 4 }, { head: () => ({ sequence: 4, commitId: 'c4' }) }],
  [{ kind: 'conflict', on: 'generation' }, { generations: () => retired }],
  [{ kind: 'conflict', on: 'view' }, { viewVersion: () => 6 }],
]

describe('findConflict', () => {
  test('findConflict finds nothing for a commit that fits', () => expect(found(whole)).toBeUndefined())

  test.each(reasons.map(([outcome], at) => [outcome.kind === 'conflict' ? outcome.on : outcome.kind, at] as const))(
    'findConflict reports %s before every later kind of conflict',
    (_, at) => {
      const changed = Object.assign({}, ...reasons.slice(at).map(([, facts]) => facts))
      expect(found(whole, changed)).toEqual(reasons[at]?.[0])
    },
  )

  test('findConflict asks for no fact after the first conflict', () => {
    const { facts, asked } = factsWith({ hasKey: () => true })
    findConflict(whole, facts, new FailedDependencies())
    expect(asked).toEqual(['positions', 'checkpoint', 'hasKey'])
  })

  test('findConflict asks for no fact that the commit does not touch', () => {
    const { facts, asked } = factsWith()
    findConflict({ id: 'c4', appends: [append] }, facts, new FailedDependencies())
    expect(asked).toEqual(['positions', 'head'])
  })

  test('findConflict asks for the generations of a view once for any number of rows', () => {
    const { facts, asked } = factsWith()
    const views = ['a', 'b', 'c'].map((id) => ({ ...row, id }))
    expect(findConflict({ id: 'c4', appends: [], views }, facts, new FailedDependencies())).toBeUndefined()
    expect(asked.filter((name) => name === 'generations')).toEqual(['generations'])
  })

  test.each([{ fence: null }, { fence: 6 }, { position: null }, { position: '01' }])(
    'findConflict reports the fence when the checkpoint has %o',
    (rest) => expect(found(whole, standing(rest))).toEqual({ kind: 'conflict', on: 'fence' }),
  )

  test('findConflict compares the position of a checkpoint only if the commit expects one', () => {
    const checkpoint = { name: 'mailer', fence: 7, position: '2' }
    expect(found({ id: 'c4', appends: [], checkpoint }, standing({ position: '99' }))).toBeUndefined()
    expect(found({ id: 'c4', appends: [], checkpoint: { ...checkpoint, expectedPosition: null } })).toMatchObject({ on: 'fence' })
  })

  test('findConflict recognises a repeat by the checkpoint only in a commit without events', () => {
    const moved = standing({ commitId: 'c4', fence: 8 })
    const { checkpoint = { name: 'mailer', fence: 7, position: '2' } } = whole
    expect(found({ id: 'c4', appends: [], checkpoint }, moved)).toEqual({ kind: 'repeated', positions: [] })
    expect(found(whole, moved)).toEqual({ kind: 'conflict', on: 'fence' })
  })

  test('findConflict reports another last commit even with an equal sequence', () => {
    const other = { head: () => ({ sequence: 3, commitId: 'other' }) }
    expect(found(whole, other)).toEqual({ kind: 'conflict', on: 'sequence', actualSequence: 3 })
    const { expectedCommitId: _, ...any } = append
    expect(found({ ...whole, appends: [any] }, other)).toBeUndefined()
  })

  test('findConflict reports an append that expects events in an empty aggregate', () =>
    expect(found(whole, { head: () => noEvents })).toEqual({ kind: 'conflict', on: 'sequence', actualSequence: 0 }))

  test('findConflict reports a commit that builds on one that was not stored', () => {
    const lost: CommitOutcome = { kind: 'conflict', on: 'sequence' }
    const event = { ...append, id: 'account/a/3', type: 'T', version: '1', data: {}, sequence: 3, metadata: {}, commitId: 'c3' }
    const events = [{ ...event, recordedAt: '2026-01-02T03:04:05.678Z' }]
    const afterAppend = new FailedDependencies()
    afterAppend.note({ id: 'c3', appends: [{ ...append, expectedSequence: 2, events }] }, lost)
    expect(found(whole, {}, afterAppend)).toEqual({ kind: 'conflict', on: 'sequence', actualSequence: 3 })
    const afterView = new FailedDependencies()
    afterView.note({ id: 'c3', appends: [], views: [{ ...row, expectedVersion: 4 }] }, lost)
    expect(found(whole, {}, afterView)).toEqual({ kind: 'conflict', on: 'view' })
  })
})
