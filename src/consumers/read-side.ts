import { DefinitionError } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import type { CatchUpOutcome, Change } from './change.ts'
import type { ConsumerCore } from './consumption.ts'
import type { ConsumerDefinition, Machinery, ReadSide, ReadSideOptions, Running } from './definitions.ts'
import type { Follower } from './follower.ts'
import { reach } from './handle.ts'
import { consumerQueue } from './lane.ts'
import { Loops } from './loops.ts'
import { patiently } from './patience.ts'

/** Connects the views and subscriptions of an app. What runs each kind comes with its definitions, so that none is loaded for another. @throws DefinitionError */
export function connectReadSide(core: Core, options: ReadSideOptions): ReadSide {
  for (const one of options.consumers) checkIsFed(one, [...options.definitions.keys()])
  const loops = new Loops({ ...core, pollMs: options.pollMs, leaseMs: options.leaseMs })
  const shared: ConsumerCore = {
    ...core,
    definitions: options.definitions,
    consumerQueue: consumerQueue(core),
    holder: core.runtime.randomUUID(),
    leaseMs: options.leaseMs,
    pollMs: options.pollMs,
    pulse: loops,
  }
  const running = runningOf(shared, options.consumers)
  const followers = new Map<ConsumerDefinition, Follower>()
  const followerOf = (one: ConsumerDefinition) => followers.get(one) as Follower
  core.onStored.add(() => loops.wake())
  return {
    sendWithViews: (definition) => {
      for (const one of running.values()) {
        const send = one.sendWithViews?.(definition)
        if (send !== undefined) return send
      }
      return undefined
    },
    open: (one, ...of) => {
      const kind = running.get(one.machinery) as Running<never>
      const { follower, handle } = kind.open(one as never, ...of)
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
      if (view.consistency === 'inline') return
      await reach(shared, followerOf(view), position, patience, { rebuild: false })
    },
  }
}

/** What runs these, by their kind. */
function runningOf(core: ConsumerCore, all: readonly ConsumerDefinition[]): ReadonlyMap<Machinery<never>, Running<never>> {
  const kinds = new Set(all.map(({ machinery }) => machinery))
  return new Map([...kinds].map((kind) => [kind, kind.run(core, all.filter((one) => one.machinery === kind) as never[])]))
}

/** What goes wrong before the first change goes wrong for all. */
const catchUp = (follower: Follower, changes: readonly Change[], signal: AbortSignal | undefined) =>
  follower.catchUp(changes, signal).catch((error: unknown): readonly CatchUpOutcome[] => changes.map(() => ({ error })))

function checkIsFed(one: ConsumerDefinition, known: readonly string[]): void {
  const what = one.kind === 'subscription' ? one.kind : 'view'
  for (const type of one.aggregateTypes)
    if (!known.includes(type))
      throw new DefinitionError(
        `createApp: the ${what} '${one.name}' follows the aggregate '${type}', which is not among aggregates: it would miss events.`,
      )
}
