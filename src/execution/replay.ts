import { ValidationError } from '../errors.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import { type Decoded, decodeApart } from '../evolution/decode.ts'
import type { StoredEvent } from '../store/commit.ts'
import { optional, readCallOptions, signalOption, unchecked } from '../util/option-table.ts'
import { checkFunction, checkId } from '../util/options.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'
import type { Core, Query } from './core.ts'
import { readStored } from './load.ts'
import { logPages } from './log.ts'

/** The options of `app.replay`, types erased. */
export interface ReplayRequest {
  readonly aggregateType: string | undefined
  readonly id: string | undefined
  readonly onError: ((error: unknown, eventId: string) => unknown) | undefined
  readonly signal: AbortSignal | undefined
}

const pageSize = 200

/**
 * Calls a query with stored events, those of one commit together, and returns how many there were.
 */
export async function replay(
  core: Core,
  definitions: ReadonlyMap<string, AggregateDefinition>,
  query: Query,
  { aggregateType, id, onError, signal }: ReplayRequest,
): Promise<number> {
  const types = aggregateType === undefined ? [...definitions.keys()] : [aggregateType]
  const report = async (error: unknown, eventId: string) => {
    if (onError === undefined) throw error
    await onError(error, eventId)
  }
  let events = 0
  let commit: EventEnvelope[] = []
  const hand = async () => {
    const [first] = commit
    if (first === undefined) return
    const handed = commit
    commit = []
    try {
      await query(handed)
    } catch (error) {
      await report(error, first.id)
    }
    events += handed.length
  }
  for await (const page of storedPages(core, definitions, types, { id })) {
    signal?.throwIfAborted()
    const decoded: readonly Decoded[] = await decodeApart(core, (type) => definitions.get(type) as AggregateDefinition, page)
    for (const { stored, events: parts, failure } of decoded) {
      // Events that another program has stored may name no commit: each is one of its own.
      if (stored.commitId === '' || commit[0]?.commitId !== stored.commitId) await hand()
      if (failure !== undefined) await report(failure.error, stored.id)
      commit.push(...parts)
    }
  }
  await hand()
  return events
}

/** The stored events of these types after a position, or those of one aggregate of the first type. */
export const storedPages = (
  core: Core,
  definitions: ReadonlyMap<string, AggregateDefinition>,
  types: readonly string[],
  {
    id,
    after,
    signal,
  }: { readonly id?: string | undefined; readonly after?: Position | undefined; readonly signal?: AbortSignal },
) =>
  id === undefined ? allPages(core, definitions, types, after, signal) : ofAggregate(core, definitions, types[0] as string, id)

/** In commit order, or without a global order one aggregate after the other. */
async function* allPages(
  core: Core,
  definitions: ReadonlyMap<string, AggregateDefinition>,
  types: readonly string[],
  from?: Position,
  signal?: AbortSignal,
): AsyncGenerator<readonly StoredEvent[], void, undefined> {
  if (core.store.capabilities.globalOrder) return yield* logPages(core, types, from, signal)
  for (const aggregateType of types)
    for (let after: string | undefined; ; ) {
      const ids = await core.store.readIds({ aggregateType, limit: pageSize, ...(after === undefined ? {} : { after }) })
      for (const id of ids.items) yield* ofAggregate(core, definitions, aggregateType, id)
      after = ids.items.at(-1)
      if (!ids.more) break
    }
}

const ofAggregate = (
  core: Core,
  definitions: ReadonlyMap<string, AggregateDefinition>,
  aggregateType: string,
  aggregateId: string,
) => readStored(core, { definition: definitions.get(aggregateType) as AggregateDefinition, aggregateId }, 0)

const optionsOfReplay = {
  aggregate: optional<unknown>(unchecked),
  id: optional<string>(unchecked),
  onError: optional<NonNullable<ReplayRequest['onError']>>(checkFunction),
  signal: signalOption,
}

/** @throws ValidationError */
export function checkReplay(
  definitions: ReadonlyMap<string, AggregateDefinition>,
  typeOf: (aggregate: unknown) => string,
  query: unknown,
  options: object,
): ReplayRequest {
  const { aggregate, id, onError, signal } = readCallOptions('app.replay', options, optionsOfReplay)
  if (typeof query !== 'function') throw new ValidationError('app.replay: the query must be a function.')
  const aggregateType = aggregate === undefined ? undefined : typeOf(aggregate)
  if (aggregateType !== undefined && !definitions.has(aggregateType))
    throw new ValidationError(`app.replay: this app has no aggregate of the type '${aggregateType}'.`)
  if (id !== undefined && aggregateType === undefined)
    throw new ValidationError('app.replay: the option id needs the option aggregate.')
  if (id !== undefined) checkId('app.replay', id)
  return { aggregateType, id, onError, signal }
}
