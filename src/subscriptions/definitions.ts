import type { AggregateDefinition } from '../aggregate-definition.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import type { Core, SendWithViews } from '../execution/core.ts'
import type { Lifecycle } from '../lifecycle.ts'

/** One aggregate that has news. */
export interface Change {
  /** Type of the aggregate. */
  readonly aggregateType: string
  /** Id of the aggregate. */
  readonly aggregateId: string
  /** Of the last of its events that is known of. */
  readonly sequence: number
  /** Of the first of those that are new; `sequence` where it is left out. */
  readonly first?: number | undefined
}

/** What became of one change: nothing to tell of, or what failed. */
export type CatchUpOutcome = { readonly error: unknown } | undefined

/** A view as the machinery sees it: checked, types erased. */
export interface ViewDefinition {
  readonly name: string
  readonly aggregateTypes: readonly string[]
  readonly initialView: () => unknown
  /** The ids an event touches; `undefined`: the aggregate's own. */
  readonly id: ((event: EventEnvelope) => unknown) | undefined
  readonly update: ReadonlyMap<string, (view: unknown, event: EventEnvelope) => unknown>
  readonly indexes: readonly string[]
  readonly viewVersion: string
  readonly consistency: 'inline' | 'async'
  /** Each row belongs to one aggregate, has its id, and so knows which of its events it has seen. */
  readonly followsOne: boolean
  readonly connect: ConnectReadSide
}

/** A view that is tables of the user's own, types erased. */
export interface SqlViewDefinition {
  readonly name: string
  readonly aggregateTypes: readonly string[]
  readonly apply: (client: unknown, event: EventEnvelope) => void | Promise<void>
  readonly reset: (client: unknown) => void | Promise<void>
  readonly connect: ConnectReadSide
}

/** What runs the views and subscriptions of one app. */
export interface ReadSide {
  /** `undefined` for an aggregate that no inline view follows. */
  sendWithViews(definition: AggregateDefinition): SendWithViews | undefined
  /** What `app.views` has. */
  viewsOf(view: ViewDefinition, lifecycle: Lifecycle): object
  /** What `app.views` has of a view that is tables of the user's own. */
  sqlViewOf(view: SqlViewDefinition, lifecycle: Lifecycle): object
  /** What `app.subscriptions` has. */
  subscriptionOf(subscription: SubscriptionDefinition, lifecycle: Lifecycle, app: object): object
  start(): void
  drain(request: DrainRequest): Promise<{ readonly caughtUp: boolean; readonly events: number }>
  stop(): Promise<void>
  /** Brings all up to date with these aggregates, where the store has no order of all events; what failed, by change. */
  catchUp(changes: readonly Change[], signal?: AbortSignal): Promise<readonly CatchUpOutcome[]>
  /** The same for one view, which rejects. */
  catchUpView(view: ViewDefinition | SqlViewDefinition, change: Change): Promise<void>
  /** Waits until a view has come to a position. */
  reach(view: ViewDefinition | SqlViewDefinition, position: Position, timeoutMs: number | undefined): Promise<void>
}

export interface ReadSideOptions {
  readonly views: readonly (ViewDefinition | SqlViewDefinition)[]
  readonly subscriptions: readonly SubscriptionDefinition[]
  readonly definitions: ReadonlyMap<string, AggregateDefinition>
  readonly leaseMs: number
  readonly pollMs: number
}

export type ConnectReadSide = (core: Core, options: ReadSideOptions) => ReadSide

/** A subscription as the machinery sees it: checked, types erased. */
export interface SubscriptionDefinition {
  readonly name: string
  readonly aggregateTypes: readonly string[]
  /** `undefined`: all of them. */
  readonly eventTypes: ReadonlySet<string> | undefined
  readonly from: 'beginning' | 'now' | Position
  readonly onFailure: 'stop' | 'retry' | 'park'
  readonly attempts: number
  readonly timeoutMs: number
  readonly slots: boolean
  readonly batchSize: number
  readonly handle: (events: readonly EventEnvelope[], context: object) => unknown
  readonly connect: ConnectReadSide
}

/** What a drain is asked for. */
export interface DrainRequest {
  readonly budgetMs?: number | undefined
  readonly maxEvents?: number | undefined
  readonly reconcile?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}
