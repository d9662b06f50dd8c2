import { ValidationError } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { optional, readCallOptions, signalOption, unchecked, wholeNumberFrom, withDefault } from '../util/option-table.ts'
import { checkId, checkPage } from '../util/options.ts'
import { type Call, checkCall, type ExecuteOptions } from './call.ts'
import type { Core, WiredAggregate } from './core.ts'
import { oncePerDelivery } from './delivery-scope.ts'
import { execute } from './execute.ts'
import { loadAggregate, readEvents } from './load.ts'
import type { Accepted, Rejected } from './result.ts'

/**
 * Says, before a command is stored, what is done with its result before that is returned;
 * `undefined` for nothing.
 *
 * @throws ValidationError
 */
export type PrepareWaiting = (aggregateType: string, call: Call) => ((result: Accepted | Rejected) => Promise<void>) | undefined

const optionsOfLoad = { asOf: optional<number>(wholeNumberFrom(0)), signal: signalOption }
const optionsOfEvents = { after: withDefault(0, wholeNumberFrom(0)), signal: signalOption }
const optionsOfIds = { limit: withDefault(100, unchecked), after: optional<string>(unchecked) }

/** Implements `AggregateHandle` for one aggregate type, types erased. */
export function handleOf(core: Core, aggregate: WiredAggregate, lifecycle: Lifecycle, prepare: PrepareWaiting) {
  const { definition } = aggregate
  const at = (method: string) => `${method} of ${definition.type}`
  const executing = at('execute')
  return Object.freeze({
    execute: async (id: unknown, command: unknown, options?: ExecuteOptions) => {
      lifecycle.begin(executing)
      try {
        const call = checkCall(definition.type, id, command, options)
        const afterwards = prepare(definition.type, call)
        const result = await oncePerDelivery(options, definition.type, call, () => execute(core, aggregate, call))
        if (afterwards !== undefined) await afterwards(result)
        return result
      } finally {
        lifecycle.end()
      }
    },

    load: async (aggregateId: unknown, options: { asOf?: number; signal?: AbortSignal } = {}) =>
      lifecycle.run(at('load'), async () => {
        checkId(at('load'), aggregateId)
        const { asOf, signal } = readCallOptions(at('load'), options, optionsOfLoad, `${at('load')} '${aggregateId}'`)
        const slot = core.slots.use(definition.type, aggregateId)
        try {
          const known = slot.cached
          const from = asOf !== undefined && known !== undefined && known.sequence > asOf ? undefined : known
          const { state, sequence } = await loadAggregate(core, slot, { definition, aggregateId, from, upTo: asOf, signal })
          if (asOf !== undefined && sequence < asOf)
            throw new ValidationError(
              `${at('load')} '${aggregateId}': asOf is ${asOf}, but its last event has the sequence ${sequence}.`,
            )
          return { state, sequence }
        } finally {
          core.slots.release(slot)
        }
      }),

    events: (aggregateId: unknown, options: { after?: number; signal?: AbortSignal } = {}): AsyncIterable<EventEnvelope> => {
      lifecycle.check(at('events'))
      checkId(at('events'), aggregateId)
      const { after, signal } = readCallOptions(at('events'), options, optionsOfEvents, `${at('events')} '${aggregateId}'`)
      return { [Symbol.asyncIterator]: () => readEvents(core, { definition, aggregateId, signal }, after) }
    },

    ids: async (options: { limit?: number; after?: string } = {}) =>
      lifecycle.run(at('ids'), async () => {
        const { limit, after } = readCallOptions(at('ids'), options, optionsOfIds)
        checkPage(at('ids'), limit, after)
        const page = await core.store.readIds({
          aggregateType: definition.type,
          limit,
          ...(after === undefined ? {} : { after }),
        })
        const last = page.items.at(-1)
        return { items: page.items, ...(page.more && last !== undefined ? { next: last } : {}) }
      }),
  })
}
