import type { EventEnvelope } from '../event-envelope.ts'
import type { CommitOutcome } from '../store/commit.ts'
import type { Loaded } from './cache.ts'

/** The command was accepted, types erased. */
export interface Accepted {
  readonly ok: true
  readonly state: unknown
  readonly sequence: number
  readonly events: readonly EventEnvelope[]
  readonly replayed: boolean
}

/** The domain said no, types erased. */
export interface Rejected {
  readonly ok: false
  readonly reason: string
  readonly details: unknown
}

/** The fate of a commit, known for sure. */
export type Settled = Exclude<CommitOutcome, { readonly kind: 'failed' }>

/** The same with the view rows of this aggregate as they are now. */
export type Committed =
  | (Extract<Settled, { kind: 'stored' | 'repeated' }> & { readonly rows: Loaded['rows'] })
  | Extract<Settled, { kind: 'conflict' }>

export const committed = (outcome: Settled, rows: Loaded['rows']): Committed =>
  outcome.kind === 'conflict' ? outcome : { kind: outcome.kind, positions: outcome.positions, rows }
