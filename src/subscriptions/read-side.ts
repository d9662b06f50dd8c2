import { DefinitionError } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import type { CatchUpOutcome, Change } from './change.ts'
import type { ConsumerCore } from './consumption.ts'
import type {
  AnyDefinition,
  Machinery,
  Opened,
  ReadSide,
  ReadSideOptions,
  Running,
  SqlViewDefinition,
  ViewDefinition,
} from './definitions.ts'
import type { Follower } from './follower.ts'
import { reach } from './handle.ts'
import { consumerQueue } from './lane.ts'
import { Loops } from './loops.ts'
import { patiently } from './patience.ts'

/** Connects the views and subscriptions of an app. What runs each kind comes with its definitions, so that none is loaded for another. @throws DefinitionError */
export function connectReadSide(core: Core, options: ReadSideOptions): ReadSide {
  for (const one of [...options.views, ...options.subscriptions]) checkIsFed(one, [...options.definitions.keys()])
  const loops = new Loops({ ...core, pollMs: options.pollMs, leaseMs: options.leaseMs })
  const shared: ConsumerCore = {
    ...core,
    definitions: options.definitions,
    consumerQueue: consumerQueue(core),
    holder: core.runtime.randomUUID(),
    leaseMs: options.leaseMs,
    pulse: loops,
  }
  const views = runningOf(shared, options.views.filter(isRowView))
  const sqlViews = runningOf(shared, options.views.filter(isSqlView))
  const subscriptions = runningOf(shared, options.subscriptions)
  const followers = new Map<AnyDefinition, Follower>()
  const followerOf = (one: AnyDefinition) => followers.get(one) as Follower
  core.onStored.add(() => loops.wake())
  return {
    sendWithViews: (definition) => views?.sendWithViews?.(definition),
    open: (one, ...of) => {
      const opened = isRowView(one)
        ? views?.open(one, ...of)
        : isSqlView(one)
          ? sqlViews?.open(one, ...of)
          : subscriptions?.open(one, ...of)
      const { follower, handle } = opened as Opened
      followers.set(one, follower)
      return handle
    },
    start: () => loops.start([...followers.values()]),
    drain: (request) => loops.drain([...followers.values()], request),
    stop: () => loops.stop(),
    catchUp: async (changes, signal) => {
      const byFollower = await Promise.all([...followers.values()].map((follower) => catchUp(follower, changes, signal)))
      return changes.map((_, i) => byFollower.map((outcomes) => outcomes[i]).find((outcome) => outcome !== undefined))
    },
    catchUpView: async (view, change, signal) => {
      const [failed] = await followerOf(view).catchUp([change], signal, true)
      if (failed !== undefined) throw failed.error
    },
    patiently: (...wait) => patiently(core.runtime, ...wait),
    reach: async (view, position, patience) => {
      if (isRowView(view) && view.consistency === 'inline') return
      await reach(shared, followerOf(view), position, patience, { rebuild: false })
    },
  }
}

/** What runs these, which are of one kind; `undefined` where there are none. */
const runningOf = <D extends { readonly machinery: Machinery<D> }>(
  core: ConsumerCore,
  definitions: readonly D[],
): Running<D> | undefined => definitions[0]?.machinery.run(core, definitions)

/** What goes wrong before the first change goes wrong for all. */
const catchUp = (follower: Follower, changes: readonly Change[], signal: AbortSignal | undefined) =>
  follower.catchUp(changes, signal).catch((error: unknown): readonly CatchUpOutcome[] => changes.map(() => ({ error })))

const isRowView = (one: AnyDefinition): one is ViewDefinition => 'update' in one

const isSqlView = (one: AnyDefinition): one is SqlViewDefinition => 'reset' in one

function checkIsFed(one: AnyDefinition, known: readonly string[]): void {
  const what = isRowView(one) || isSqlView(one) ? 'view' : 'subscription'
  for (const type of one.aggregateTypes)
    if (!known.includes(type))
      throw new DefinitionError(
        `createApp: the ${what} '${one.name}' follows the aggregate '${type}', which is not among aggregates: it would miss events.`,
      )
}
