import type { Rejection } from '../reject.ts'

/** A decision on a command that could not be made. */
export interface Failed {
  readonly kind: 'failed'
  readonly error: unknown
}

/** Outcome of a command whose rows cannot be stored. */
export type Refusal = Failed | { readonly kind: 'rejected'; readonly rejection: Rejection }

/** The rows of a decision cannot be stored: the command is rejected or fails, on this state. */
export class Refused extends Error {
  readonly decision: Refusal

  constructor(decision: Refusal) {
    super('A decision was refused.')
    this.decision = decision
  }
}
