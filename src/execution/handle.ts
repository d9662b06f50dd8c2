import { ValidationError } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { aggregateKey } from '../util/names.ts'
import { checkCallOptions, checkId, checkPage, checkWholeNumber } from '../util/options.ts'
import { type Call, checkCall, type ExecuteOptions } from './call.ts'
import type { Core, WiredAggregate } from './core.ts'
import { oncePerDelivery } from './delivery-scope.ts'
import { execute } from './execute.ts'
import { loadAggregate, readEvents } from './load.ts'
import type { Accepted, Rejected } from './result.ts'

/** Says, before a command is stored, what is done with its result before that is returned; `undefined` for nothing. @throws ValidationError */
export type PrepareWaiting = (aggregateType: string, call: Call) => ((result: Accepted | Rejected) => Promise<void>) | undefined

/** The commands and the history of one aggregate type, types erased; `AggregateHandle` says what each does. */
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
        checkCallOptions(at('load'), options, ['asOf', 'signal'])
        const { asOf, signal } = options
        if (asOf !== undefined) checkWholeNumber(`${at('load')} '${aggregateId}': asOf`, asOf, 0, ValidationError)
        const known = core.cache.get(aggregateKey(definition.type, aggregateId))
        const from = asOf !== undefined && known !== undefined && known.sequence > asOf ? undefined : known
        const { state, sequence } = await loadAggregate(core, { definition, aggregateId, from, upTo: asOf, signal })
        if (asOf !== undefined && sequence < asOf)
          throw new ValidationError(
            `${at('load')} '${aggregateId}': asOf is ${asOf}, but its last event has the sequence ${sequence}.`,
          )
        return { state, sequence }
      }),

    events: (aggregateId: unknown, options: { after?: number; signal?: AbortSignal } = {}): AsyncIterable<EventEnvelope> => {
      lifecycle.check(at('events'))
      checkId(at('events'), aggregateId)
      checkCallOptions(at('events'), options, ['after', 'signal'])
      const { after = 0, signal } = options
      checkWholeNumber(`${at('events')} '${aggregateId}': after`, after, 0, ValidationError)
      return { [Symbol.asyncIterator]: () => readEvents(core, { definition, aggregateId, signal }, after) }
    },

    ids: async (options: { limit?: number; after?: string } = {}) =>
      lifecycle.run(at('ids'), async () => {
        checkCallOptions(at('ids'), options, ['limit', 'after'])
        const { limit = 100, after } = options
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
