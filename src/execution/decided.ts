import type { EventEnvelope } from '../event-envelope.ts'
import type { ViewWrite } from '../store/commit.ts'

/** The decision on a command, before it is stored. */
export type Decided =
  | { readonly ok: true; readonly events: readonly EventEnvelope[]; readonly state: unknown }
  | { readonly ok: false; readonly reason: string; readonly details: unknown }

/** Rows to store in the commit of a command, which is not stored without them. */
export interface Together {
  readonly commandId: string
  /**
   * Returns the rows for a decision, also one without events. Called for each decision. An exception
   * counts as one of the handler: nothing is stored.
   */
  rows(decided: Decided, commitId: string): readonly ViewWrite[]
  /** Returns whether the rows are still as `rows` expects. Otherwise no worker can store the command. */
  stands(): Promise<boolean>
  /** One of the rows is the one with the deadlines of the aggregate. */
  readonly hasDeadlines?: true
}
