import type { AggregateDefinition } from '../aggregate-definition.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import type { Core, SendWithViews } from '../execution/core.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { CatchUpOutcome, Change } from './change.ts'
import type { ConsumerCore } from './consumption.ts'
import type { Follower } from './follower.ts'
import type { Patience, WaitLimits } from './patience.ts'

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
  readonly machinery: Machinery<ViewDefinition>
}

/** A view that is tables of the user's own, types erased. */
export interface SqlViewDefinition {
  readonly name: string
  readonly aggregateTypes: readonly string[]
  readonly apply: (client: unknown, event: EventEnvelope) => unknown
  readonly reset: (client: unknown) => unknown
  readonly machinery: Machinery<SqlViewDefinition>
}

/** Whatever follows the events. */
export type AnyDefinition = ViewDefinition | SqlViewDefinition | SubscriptionDefinition

/** What runs the views and subscriptions of one app. */
export interface ReadSide {
  /** `undefined` for an aggregate that no inline view follows. */
  sendWithViews(definition: AggregateDefinition): SendWithViews | undefined
  /** What `app.views` or `app.subscriptions` has of one. Called once for each. */
  open(one: AnyDefinition, lifecycle: Lifecycle, app: object): object
  start(): void
  drain(request: DrainRequest): Promise<{ readonly caughtUp: boolean; readonly events: number }>
  stop(): Promise<void>
  /** Brings all up to date with these aggregates, where the store has no order of all events; what failed, by change. */
  catchUp(changes: readonly Change[], signal?: AbortSignal): Promise<readonly CatchUpOutcome[]>
  /** The same for one view, which rejects. */
  catchUpView(view: ViewDefinition | SqlViewDefinition, change: Change, signal: AbortSignal): Promise<void>
  /** Waits for so long at the most, with `reach` and the like. */
  patiently(lifecycle: Lifecycle, what: string, limits: WaitLimits, work: (patience: Patience) => Promise<void>): Promise<void>
  /** Waits until a view has come to a position; runs it, but does not rebuild it. */
  reach(view: ViewDefinition | SqlViewDefinition, position: Position, patience: Patience): Promise<void>
}

export interface ReadSideOptions {
  readonly views: readonly (ViewDefinition | SqlViewDefinition)[]
  readonly subscriptions: readonly SubscriptionDefinition[]
  readonly definitions: ReadonlyMap<string, AggregateDefinition>
  readonly leaseMs: number
  readonly pollMs: number
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
  sendWithViews?(definition: AggregateDefinition): SendWithViews | undefined
}

/** One of them, as an app has it. */
export interface Opened {
  /** What is kept running. */
  readonly follower: Follower
  /** What `app.views` or `app.subscriptions` has of it. */
  readonly handle: object
}

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
  /** `handle` gets several events at once; else one. */
  readonly isBatched: boolean
  readonly handle: (events: readonly EventEnvelope[], context: object) => unknown
  readonly machinery: Machinery<SubscriptionDefinition>
}

/** What a drain is asked for. */
export interface DrainRequest {
  readonly budgetMs?: number | undefined
  readonly maxEvents?: number | undefined
  readonly reconcile?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}
