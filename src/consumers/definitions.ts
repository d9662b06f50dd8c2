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

/** What runs in the background: a subscription or a view, checked, types erased. */
export interface ConsumerDefinition {
  readonly kind: 'view' | 'sqlView' | 'subscription'
  readonly name: string
  /** In the store, for its leases, checkpoints and rows. */
  readonly storedAs: string
  readonly aggregateTypes: readonly string[]
  /** `inline`: commands keep it up to date, so nobody has to wait for it. */
  readonly consistency?: 'inline' | 'async'
  readonly machinery: Machinery<never>
}

/** What runs the views and subscriptions of one app. */
export interface ReadSide {
  /** `undefined` for an aggregate that no inline view follows. */
  inlineViews(definition: AggregateDefinition): InlineViews | undefined
  /** What `app.views` or `app.subscriptions` has of one. Called once for each. */
  open(one: ConsumerDefinition, lifecycle: Lifecycle, app: object): object
  start(): void
  drain(request: DrainRequest): Promise<DrainResult>
  /** How each is doing, in the order of `ReadSideOptions.consumers`; all of them are looked at together. */
  health(): Promise<readonly ConsumerStatus[]>
  stop(): Promise<void>
  /** What the store has of consumers that this app does not have. */
  leftovers(lifecycle: Lifecycle): Promise<readonly Leftover[]>
  /** Brings all up to date with these aggregates, where the store has no order of all events; what failed, by change. */
  catchUp(changes: readonly AggregateChange[], signal?: AbortSignal): Promise<readonly CatchUpOutcome[]>
  /** The same for one view, which rejects. */
  catchUpView(view: ConsumerDefinition, change: AggregateChange, signal: AbortSignal): Promise<void>
  /** Waits for so long at the most, with `reach` and the like. */
  patiently(lifecycle: Lifecycle, what: string, limits: WaitLimits, work: (patience: Patience) => Promise<void>): Promise<void>
  /** Waits until a view has come to a position; runs it, but does not rebuild it. */
  reach(view: ConsumerDefinition, position: Position, patience: Patience): Promise<void>
}

export interface ReadSideOptions {
  readonly consumers: readonly ConsumerDefinition[]
  readonly definitions: ReadonlyMap<string, AggregateDefinition>
  readonly leaseMs: number
  readonly pollMs: number
  /** What people call this process. */
  readonly holder?: string | undefined
}

export type ConnectReadSide = (core: Core, options: ReadSideOptions) => ReadSide

/** What runs definitions of one kind. Each of them has it along, so that a program holds it only where it defines one. */
export interface Machinery<D> {
  /** Puts together what runs all kinds: the same for each. @throws DefinitionError */
  readonly connect: ConnectReadSide
  /** Runs what an app has of this kind. @throws DefinitionError */
  readonly run: (core: ConsumerCore, definitions: readonly D[]) => Running<D>
}

/** What an app runs of one kind. */
export interface Running<D> {
  /** Called once for each, in `createApp`. */
  open(definition: D, lifecycle: Lifecycle, app: object): Opened
  /** Where some are written by the commands: `undefined` for an aggregate that none of these follows. */
  inlineViews?(definition: AggregateDefinition): InlineViews | undefined
}

/** One of them, as an app has it. */
export interface Opened {
  /** What is kept running. */
  readonly consumer: Consumer
  /** What `app.views` or `app.subscriptions` has of it. */
  readonly handle: object
}

/** What a drain came to. */
export interface DrainResult {
  /** Nothing is left, waits or has stopped, and nothing runs in another process. */
  readonly caughtUp: boolean
  readonly events: number
  /** When an event that failed is tried again next. */
  readonly nextDue?: Date
}

/** What a drain is asked for. */
export interface DrainRequest {
  readonly budgetMs?: number | undefined
  readonly maxEvents?: number | undefined
  readonly reconcile?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** State in the store of a subscription or a view that the app does not define. */
export interface Leftover {
  readonly kind: 'subscription' | 'view' | 'sqlView'
  /** Its name in the store. */
  readonly name: string
  /** All up to here is done; left out before the first event, and without a global order. */
  readonly position?: Position
  /** When a program ran it last, to about ten minutes; ISO 8601. */
  readonly lastRunAt?: string
  /**
   * Removes it: its checkpoints, its failed events, and the rows of a view. Tables of your own stay. A definition of the name begins by its `from`.
   * @throws NotYetError when a program is at it or was so within the hour, ValidationError without a reason, StoreError, ClosedError
   */
  remove(options: { readonly reason: string; readonly by?: string | undefined }): Promise<void>
}

/** Longest name of what has a lease of its own: its lease's name says more than that. */
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
