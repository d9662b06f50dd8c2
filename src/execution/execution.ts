import type { Commit } from '../store/commit.ts'
import type { AggregateSlot } from './aggregate-slot.ts'
import type { Call } from './call.ts'
import type { Core, WiredAggregate } from './core.ts'
import type { Loaded } from './loaded.ts'
import type { PendingState } from './pending-state.ts'
import type { Beside } from './together.ts'

/** One command in progress: what its attempts share. */
export interface Execution {
  readonly core: Core
  readonly aggregate: WiredAggregate
  readonly call: Call
  readonly tally: Tally
  readonly slot: AggregateSlot
  readonly key: Commit['key']
  readonly commandId: string
  /** A random id that no commit was sent under: the id of the first commit. */
  freeId: string | undefined
  /** As the schema of the command returns it. */
  readonly data: unknown
  /** No other command on the aggregate is decided meanwhile. */
  hasTurn: boolean
  /** Races lost on a state that was fresh. */
  conflicts: number
  /** The last race was lost, on this state where it was a stored one. */
  lost: { readonly on: Loaded | undefined } | undefined
  /** Rows of `call.together` for the last decision. */
  beside: Beside | undefined
}

/** Decisions of one command, for observers. */
export interface Tally {
  attempts: number
}

/** The state that a command is decided on. */
export interface Base {
  readonly loaded: Loaded
  /** It was read from the store for this attempt. */
  readonly isFresh: boolean
  /** The commit in flight that leads to it. */
  readonly pending: PendingState | undefined
}

/** Lets the next command on the aggregate be decided. */
export function passTurn(execution: Execution): void {
  if (!execution.hasTurn) return
  execution.hasTurn = false
  execution.slot.turns.pass()
}
