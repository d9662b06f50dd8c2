import type { EventEnvelope } from '../event-envelope.ts'
import type { CommitOutcome } from '../store/commit.ts'

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
export type CommitResult = Exclude<CommitOutcome, { readonly kind: 'failed' }>
