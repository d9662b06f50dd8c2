import { DefinitionError } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import { KeyedQueue } from '../execution/keyed-queue.ts'
import type { ReadSide, ReadSideOptions, SubscriptionDefinition, ViewDefinition } from '../subscriptions/definitions.ts'
import type { Follower } from '../subscriptions/follower.ts'
import { followerHandle, reach } from '../subscriptions/handle.ts'
import { consumerQueue } from '../subscriptions/lane.ts'
import { Loops } from '../subscriptions/loops.ts'
import { parkedOf } from '../subscriptions/parked.ts'
import { SubscriptionFollower } from '../subscriptions/subscription-follower.ts'
import { Generations } from './generations.ts'
import { sendWithViews } from './inline.ts'
import type { ViewCore } from './view-core.ts'
import { ViewFollower } from './view-follower.ts'
import { viewsOf } from './views.ts'

/** Connects the views and subscriptions of an app; comes with each of them, so that a program without any does not load it. @throws DefinitionError */
export function connectReadSide(core: Core, options: ReadSideOptions): ReadSide {
  const { views, subscriptions, definitions } = options
  for (const one of [...views, ...subscriptions]) checkIsFed(one, [...definitions.keys()])
  const loops = new Loops({ ...core, pollMs: options.pollMs })
  const followers = new Map<string, ViewFollower>()
  const viewCore: ViewCore = {
    ...core,
    definitions,
    consumerQueue: consumerQueue(core),
    holder: core.runtime.randomUUID(),
    leaseMs: options.leaseMs,
    pulse: loops,
    generations: new Generations(core.store, (view, generation) => followerOf(view).settle(generation)),
    rowQueue: new KeyedQueue(),
  }
  const followerOf = (view: ViewDefinition): ViewFollower => {
    const known = followers.get(view.name) ?? new ViewFollower(viewCore, view)
    followers.set(view.name, known)
    return known
  }
  const all: Follower[] = views.map(followerOf)
  core.onStored.add(() => loops.wake())
  return {
    sendWithViews: (definition) => {
      const inlineViews = views.filter((view) => view.consistency === 'inline' && view.aggregateTypes.includes(definition.type))
      return inlineViews.length === 0 ? undefined : sendWithViews(viewCore, definition, inlineViews)
    },
    viewsOf: (view, lifecycle) => viewsOf(viewCore, view, followerOf(view), lifecycle),
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
    reach: (view, position, timeoutMs) =>
      view.consistency === 'inline' ? Promise.resolve() : reach(viewCore, followerOf(view), position, timeoutMs),
  }
}

function checkIsFed(one: ViewDefinition | SubscriptionDefinition, known: readonly string[]): void {
  const what = 'update' in one ? 'view' : 'subscription'
  for (const type of one.aggregateTypes)
    if (!known.includes(type))
      throw new DefinitionError(
        `createApp: the ${what} '${one.name}' follows the aggregate '${type}', which is not among aggregates: it would miss events.`,
      )
}
