import { DefinitionError } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import type { AggregateChange, CatchUpOutcome } from './change.ts'
import type { Consumer } from './consumer.ts'
import type { ConsumerCore } from './core.ts'
import type { ConsumerDefinition, Machinery, ReadSide, ReadSideOptions, Running } from './definitions.ts'
import { refuseInHandler } from './handler-call.ts'
import { findLeftovers } from './leftovers.ts'
import { looksOf } from './looks.ts'
import { Loops } from './loops.ts'
import { patiently } from './patience.ts'
import { consumerQueue } from './rows.ts'
import { reach } from './shared-wait.ts'

/**
 * Connects the views, subscriptions and processes of an app. Definitions bring their machinery, so that
 * bundles contain only what they use.
 *
 * @throws DefinitionError
 */
export function connectReadSide(core: Core, options: ReadSideOptions): ReadSide {
  for (const one of options.consumers) checkIsFed(one, [...options.definitions.keys()])
  const loops = new Loops({ ...core, pollMs: options.pollMs, leaseMs: options.leaseMs })
  let holder: string | undefined
  const shared: ConsumerCore = {
    ...core,
    definitions: options.definitions,
    consumerQueue: consumerQueue(core),
    // Created on first use: a Worker allows no random values while it creates its app.
    holder: () => {
      holder ??= holderOf(core, options)
      return holder
    },
    leaseMs: options.leaseMs,
    pollMs: options.pollMs,
    pulse: loops,
  }
  const running = runningOf(shared, options.consumers)
  const consumers = new Map<ConsumerDefinition, Consumer>()
  const consumerOf = (one: ConsumerDefinition) => consumers.get(one) as Consumer
  core.onStored.add(({ appends }) => loops.wake(appends.map(({ aggregateType }) => aggregateType)))
  return {
    inlineViews: (definition) => {
      for (const one of running.values()) {
        const inlineViews = one.inlineViews?.(definition)
        if (inlineViews !== undefined) return inlineViews
      }
      return undefined
    },
    open: (one, ...of) => {
      const kind = running.get(one.machinery) as Running<never>
      const { consumer, handle } = kind.open(one as never, ...of)
      consumers.set(one, consumer)
      return handle
    },
    start: () => loops.start([...consumers.values()]),
    drain: async (request) => {
      refuseInHandler(shared, 'app.drain')
      return loops.drain([...consumers.values()], request)
    },
    health: () => Promise.all(options.consumers.map((one) => looksOf(shared).status(consumerOf(one)))),
    stop: () => loops.stop(),
    leftovers: (lifecycle) => findLeftovers(shared, options.consumers, lifecycle),
    catchUp: async (changes, signal) => {
      refuseInHandler(shared, 'app.catchUp')
      const byFollower = await Promise.all([...consumers.values()].map((consumer) => catchUp(consumer, changes, signal)))
      return changes.map((_, i) => byFollower.map((outcomes) => outcomes[i]).find((outcome) => outcome !== undefined))
    },
    catchUpView: async (view, change, signal) => {
      const [failed] = await consumerOf(view).catchUp([change], signal, true)
      if (failed !== undefined) throw failed.error
    },
    patiently: (...wait) => patiently(core.runtime, ...wait),
    reach: async (view, position, patience) => {
      if (view.consistency === 'inline') return
      const consumer = consumerOf(view)
      refuseInHandler(shared, `Waiting for the view '${view.name}'`, consumer.title)
      await reach(shared, consumer, position, patience, { rebuild: false })
    },
  }
}

/**
 * Returns a unique holder: two apps with the same name would take each other's leases for their
 * own.
 */
const holderOf = ({ runtime }: Core, { holder }: ReadSideOptions): string =>
  holder === undefined ? runtime.randomUUID() : `${holder}/${runtime.randomUUID()}`

/** Starts the machinery of each kind. */
function runningOf(core: ConsumerCore, all: readonly ConsumerDefinition[]): ReadonlyMap<Machinery<never>, Running<never>> {
  const kinds = new Set(all.map(({ machinery }) => machinery))
  return new Map([...kinds].map((kind) => [kind, kind.run(core, all.filter((one) => one.machinery === kind) as never[])]))
}

/** Returns one outcome per change; an error before the first change applies to all. */
const catchUp = (consumer: Consumer, changes: readonly AggregateChange[], signal: AbortSignal | undefined) =>
  consumer.catchUp(changes, signal).catch((error: unknown): readonly CatchUpOutcome[] => changes.map(() => ({ error })))

function checkIsFed(one: ConsumerDefinition, known: readonly string[]): void {
  const what = one.kind === 'sqlView' ? 'view' : one.kind
  for (const type of one.aggregateTypes)
    if (!known.includes(type))
      throw new DefinitionError(
        `createApp: the ${what} '${one.name}' follows the aggregate '${type}', which is not among aggregates: it would miss events.`,
      )
}
