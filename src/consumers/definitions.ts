import { DefinitionError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import type { Core, InlineViews } from '../execution/core.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { checkName } from '../util/options.ts'
import type { AggregateChange, CatchUpOutcome } from './change.ts'
import type { Consumer } from './consumer.ts'
import type { ConsumerCore } from './core.ts'
import type { Patience, WaitLimits } from './patience.ts'
import type { ConsumerStatus } from './status.ts'

/** A checked subscription, view or process with erased types. */
export interface ConsumerDefinition {
  readonly kind: 'view' | 'sqlView' | 'subscription' | 'publication' | 'process' | 'deadlines'
  readonly name: string
  /** Name in the store, for leases, checkpoints and rows. */
  readonly storedAs: string
  readonly aggregateTypes: readonly string[]
  /** `inline`: commands keep it up to date, so no caller has to wait for it. */
  readonly consistency?: 'inline' | 'async'
  readonly machinery: Machinery<never>
}

/** Runs the views, subscriptions and processes of one app. */
export interface ReadSide {
  /** Returns `undefined` for an aggregate that no inline view follows. */
  inlineViews(definition: AggregateDefinition): InlineViews | undefined
  /** Creates an entry of `app.views`, `app.subscriptions` or `app.processes`. Called once for each. */
  open(one: ConsumerDefinition, lifecycle: Lifecycle, app: object): object
  start(): void
  drain(request: DrainRequest): Promise<DrainResult>
  /** Returns the status of each, in the order of `ReadSideOptions.consumers`, from shared reads. */
  health(): Promise<readonly ConsumerStatus[]>
  stop(): Promise<void>
  /** Returns the state in the store of consumers that this app does not have. */
  leftovers(lifecycle: Lifecycle): Promise<readonly Leftover[]>
  /**
   * Processes changed aggregates, where there is no global order. Returns the failures, by change.
   */
  catchUp(changes: readonly AggregateChange[], signal?: AbortSignal): Promise<readonly CatchUpOutcome[]>
  /** Processes one changed aggregate for one view. Rejects if it fails. */
  catchUpView(view: ConsumerDefinition, change: AggregateChange, signal: AbortSignal): Promise<void>
  /** Runs work within time limits, for `reach` and similar calls. */
  patiently(lifecycle: Lifecycle, what: string, limits: WaitLimits, work: (patience: Patience) => Promise<void>): Promise<void>
  /** Waits until a view has reached a position. Runs the view, but does not rebuild it. */
  reach(view: ConsumerDefinition, position: Position, patience: Patience): Promise<void>
}

export interface ReadSideOptions {
  readonly consumers: readonly ConsumerDefinition[]
  readonly definitions: ReadonlyMap<string, AggregateDefinition>
  readonly leaseMs: number
  readonly pollMs: number
  /** Readable name of this process. */
  readonly holder?: string | undefined
}

export type ConnectReadSide = (core: Core, options: ReadSideOptions) => ReadSide

/**
 * Runs definitions of one kind. Definitions refer to it, so that a bundle contains only what it
 * uses.
 */
export interface Machinery<D> {
  /**
   * Connects the definitions of all kinds; the same function for each kind.
   *
   * @throws DefinitionError
   */
  readonly connect: ConnectReadSide
  /** Runs an app's definitions of this kind. @throws DefinitionError */
  readonly run: (core: ConsumerCore, definitions: readonly D[]) => Running<D>
}

/** The running definitions of one kind. */
export interface Running<D> {
  /** Opens a definition. Called once for each, in `createApp`. */
  open(definition: D, lifecycle: Lifecycle, app: object): Opened
  /** Returns the inline views of an aggregate; `undefined` if none of these follows it. */
  inlineViews?(definition: AggregateDefinition): InlineViews | undefined
}

/** An opened definition. */
export interface Opened {
  /** Runs after `app.start()` and during `app.drain()`. */
  readonly consumer: Consumer
  /** Entry of `app.views`, `app.subscriptions` or `app.processes`. */
  readonly handle: object
}

/** Result of a drain. */
export interface DrainResult {
  /** Nothing is left, waits, has stopped, or runs in another process. */
  readonly caughtUp: boolean
  readonly events: number
  /** Time of the next retry of a failed event, or of the next timer or retry of a process. */
  readonly nextDue?: Date
}

/** Options of a drain. */
export interface DrainRequest {
  readonly budgetMs?: number | undefined
  readonly maxEvents?: number | undefined
  readonly reconcile?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** State in the store of a subscription, view or process that the app does not define. */
export interface Leftover {
  readonly kind: 'subscription' | 'publication' | 'process' | 'view' | 'sqlView'
  /** Its name in the store. */
  readonly name: string
  /** Everything up to here is done. Absent before the first event, and without a global order. */
  readonly position?: Position
  /** Time of the last run, accurate to about ten minutes; ISO 8601. */
  readonly lastRunAt?: string
  /**
   * Removes its checkpoints, its failed events, the rows of a view and the instances of a process.
   *
   * Tables of your own stay. A later definition of the name starts at its `from`.
   *
   * @throws NotYetError when a program runs it or ran it within the last hour, ValidationError
   * without a reason, StoreError, ClosedError
   */
  remove(options: { readonly reason: string; readonly by?: string | undefined }): Promise<void>
}

/** Limit of names with a lease: the name of the lease is longer. */
const maxConsumerName = 200

/** @throws DefinitionError */
export function checkConsumerName(what: string, name: string): void {
  if (name.length > maxConsumerName)
    throw new DefinitionError(`${what}: its name is ${name.length} characters long; the limit is ${maxConsumerName}.`)
}

/** @throws DefinitionError */
export function checkStoredAs(what: string, storedAs: unknown): asserts storedAs is string {
  checkName(what, storedAs)
  checkConsumerName(what, storedAs)
}
