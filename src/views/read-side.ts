import { DefinitionError } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import { KeyedQueue } from '../execution/keyed-queue.ts'
import type {
  CatchUpOutcome,
  Change,
  ReadSide,
  ReadSideOptions,
  SqlViewDefinition,
  SubscriptionDefinition,
  ViewDefinition,
} from '../subscriptions/definitions.ts'
import type { Follower } from '../subscriptions/follower.ts'
import { followerHandle, reach } from '../subscriptions/handle.ts'
import { consumerQueue } from '../subscriptions/lane.ts'
import { Loops } from '../subscriptions/loops.ts'
import { parkedOf } from '../subscriptions/parked.ts'
import { SubscriptionFollower } from '../subscriptions/subscription-follower.ts'
import { Generations } from './generations.ts'
import { sendWithViews } from './inline.ts'
import { SqlViewFollower } from './sql-view-follower.ts'
import type { ViewCore } from './view-core.ts'
import { ViewFollower } from './view-follower.ts'
import { rebuildOf, viewsOf } from './views.ts'

/** Connects the views and subscriptions of an app; comes with each of them, so that a program without any does not load it. @throws DefinitionError */
export function connectReadSide(core: Core, options: ReadSideOptions): ReadSide {
  const { subscriptions, definitions } = options
  for (const one of [...options.views, ...subscriptions]) checkIsFed(one, [...definitions.keys()])
  const views = options.views.filter(isRowView)
  const sqlViews = options.views.filter((view) => !isRowView(view)) as readonly SqlViewDefinition[]
  if (sqlViews.length > 0 && core.store.transact === undefined)
    throw new DefinitionError(
      `createApp: the view '${sqlViews[0]?.name}' is made by sqlView, which needs a store that can run your statements in its transactions: one on Postgres, MySQL or SQLite.`,
    )
  const loops = new Loops({ ...core, pollMs: options.pollMs })
  const viewCore: ViewCore = {
    ...core,
    definitions,
    consumerQueue: consumerQueue(core),
    holder: core.runtime.randomUUID(),
    leaseMs: options.leaseMs,
    pulse: loops,
    generations: new Generations(core.store, (view, generation) => followerOf(view).settle(generation)),
    catchUps: new Map(),
    rowQueue: new KeyedQueue(),
  }
  const followers = new Map(views.map((view) => [view.name, new ViewFollower(viewCore, view)]))
  const followerOf = ({ name }: ViewDefinition) => followers.get(name) as ViewFollower
  const sqlFollowers = new Map(sqlViews.map((view) => [view.name, new SqlViewFollower(viewCore, view)]))
  const anyFollowerOf = (view: ViewDefinition | SqlViewDefinition): Follower =>
    isRowView(view) ? followerOf(view) : (sqlFollowers.get(view.name) as SqlViewFollower)
  const all: Follower[] = [...followers.values(), ...sqlFollowers.values()]
  core.onStored.add(() => loops.wake())
  return {
    sendWithViews: (definition) => {
      const inlineViews = views.filter((view) => view.consistency === 'inline' && view.aggregateTypes.includes(definition.type))
      return inlineViews.length === 0 ? undefined : sendWithViews(viewCore, definition, inlineViews)
    },
    viewsOf: (view, lifecycle) => viewsOf(viewCore, view, followerOf(view), lifecycle),
    sqlViewOf: (view, lifecycle) => {
      const follower = sqlFollowers.get(view.name) as SqlViewFollower
      return Object.freeze({
        rebuild: rebuildOf(`View '${view.name}'`, follower, lifecycle),
        ...followerHandle(viewCore, follower, lifecycle),
      })
    },
    subscriptionOf: (subscription, lifecycle, app) => {
      const follower = new SubscriptionFollower(viewCore, subscription, app)
      all.push(follower)
      return Object.freeze({
        ...followerHandle(viewCore, follower, lifecycle),
        parked: parkedOf(viewCore, subscription, lifecycle),
      })
    },
    start: () => loops.start(all),
    drain: (request) => loops.drain(all, request),
    stop: () => loops.stop(),
    catchUp: async (changes, signal) => {
      const byFollower = await Promise.all(all.map((follower) => catchUp(follower, changes, signal)))
      return changes.map((_, i) => byFollower.map((outcomes) => outcomes[i]).find((outcome) => outcome !== undefined))
    },
    catchUpView: async (view, change) => {
      const [failed] = await anyFollowerOf(view).catchUp([change])
      if (failed !== undefined) throw failed.error
    },
    reach: (view, position, timeoutMs) =>
      isRowView(view) && view.consistency === 'inline'
        ? Promise.resolve()
        : reach(viewCore, anyFollowerOf(view), position, timeoutMs),
  }
}

/** What goes wrong before the first change goes wrong for all. */
const catchUp = (follower: Follower, changes: readonly Change[], signal: AbortSignal | undefined) =>
  follower.catchUp(changes, signal).catch((error: unknown): readonly CatchUpOutcome[] => changes.map(() => ({ error })))

const isRowView = (view: ViewDefinition | SqlViewDefinition): view is ViewDefinition => 'update' in view

function checkIsFed(one: ViewDefinition | SqlViewDefinition | SubscriptionDefinition, known: readonly string[]): void {
  const what = 'update' in one || 'reset' in one ? 'view' : 'subscription'
  for (const type of one.aggregateTypes)
    if (!known.includes(type))
      throw new DefinitionError(
        `createApp: the ${what} '${one.name}' follows the aggregate '${type}', which is not among aggregates: it would miss events.`,
      )
}
