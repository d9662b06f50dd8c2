import type { Metadata } from '../event-envelope.ts'
import type { Commit, StoredEvent, ViewWrite } from '../store/commit.ts'
import { eventId } from '../store/event-id.ts'

export interface CommitPlan extends Omit<Partial<Commit>, 'appends'> {
  readonly appends?: readonly AppendPlan[]
}

export interface AppendPlan {
  /** Default `'account'`. */
  readonly aggregateType?: string
  readonly aggregateId: string
  /** Expected sequence. */
  readonly at: number
  /** Expected commit id. */
  readonly on?: string
  /** Number of events, or a plan for each. Default 1. */
  readonly events?: number | readonly EventPlan[]
  readonly snapshot?: { readonly stateVersion: string; readonly state: unknown }
}

export interface EventPlan {
  readonly type?: string
  readonly version?: string
  readonly data?: unknown
  readonly metadata?: Metadata
}

export function commit({ appends = [], ...rest }: CommitPlan): Commit {
  const id = rest.id ?? crypto.randomUUID()
  return { ...rest, id, appends: appends.map((plan) => append(id, plan)) }
}

/** A commit of `count` events on one account. */
export const deposit = (aggregateId: string, at: number, count = 1, rest: Omit<CommitPlan, 'appends'> = {}): Commit =>
  commit({ ...rest, appends: [{ aggregateId, at, events: count }] })

/** A commit of views alone. */
export const saveViews = (...views: readonly ViewWrite[]): Commit => commit({ views })

export const view = (id: string, at: number, content: unknown, rest: Partial<ViewWrite> = {}): ViewWrite => ({
  name: 'balances',
  generation: 1,
  id,
  expectedVersion: at,
  view: content,
  ...rest,
})

export const viewKey = (id: string, rest: { readonly name?: string } = {}) => ({ name: 'balances', generation: 1, id, ...rest })

export const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i)

function append(commitId: string, { aggregateType = 'account', aggregateId, at, on, events = 1, snapshot }: AppendPlan) {
  const plans = typeof events === 'number' ? range(events).map(() => ({})) : events
  const stored = plans.map((plan, i) => event(aggregateType, aggregateId, at + 1 + i, commitId, plan))
  const expected = { expectedSequence: at, ...(on !== undefined && { expectedCommitId: on }) }
  return { aggregateType, aggregateId, ...expected, events: stored, ...(snapshot && { snapshot }) }
}

function event(
  aggregateType: string,
  aggregateId: string,
  sequence: number,
  commitId: string,
  plan: EventPlan,
): Omit<StoredEvent, 'position'> {
  return {
    id: eventId(aggregateType, aggregateId, sequence),
    type: 'MoneyDeposited',
    version: '1.0',
    aggregateType,
    aggregateId,
    sequence,
    data: { amount: sequence },
    metadata: { correlationId: commitId },
    commitId,
    recordedAt: '2026-01-02T03:04:05.678Z',
    ...plan,
  }
}
