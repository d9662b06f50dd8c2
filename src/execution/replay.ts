import type { AggregateDefinition } from '../aggregate-definition.ts'
import { ValidationError } from '../errors.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import { type Decoded, decodeApart } from '../evolution/decode.ts'
import type { StoredEvent } from '../store/commit.ts'
import { checkCallOptions, checkId } from './call.ts'
import type { Core, Query } from './core.ts'
import { readPage } from './read-page.ts'

/** What `app.replay` takes besides the query, types erased. */
export interface ReplayRequest {
  readonly aggregateType: string | undefined
  readonly id: string | undefined
  readonly onError: ((error: unknown, eventId: string) => void) | undefined
  readonly signal: AbortSignal | undefined
}

const pageSize = 200

/** Hands stored events to a query, those of one commit together, just as they were when they were stored. Answers how many there were. */
export async function replay(
  core: Core,
  definitions: ReadonlyMap<string, AggregateDefinition>,
  query: Query,
  { aggregateType, id, onError, signal }: ReplayRequest,
): Promise<number> {
  const types = aggregateType === undefined ? [...definitions.keys()] : [aggregateType]
  const report = (error: unknown, eventId: string) => {
    if (onError === undefined) throw error
    onError(error, eventId)
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
      report(error, first.id)
    }
    events += handed.length
  }
  for await (const page of id === undefined ? allPages(core, types) : pagesOf(core, types[0] as string, id)) {
    signal?.throwIfAborted()
    const decoded: readonly Decoded[] = await decodeApart((type) => definitions.get(type) as AggregateDefinition, page)
    for (const { stored, events: parts, failure } of decoded) {
      if (commit[0] !== undefined && commit[0].commitId !== stored.commitId) await hand()
      if (failure !== undefined) report(failure.error, stored.id)
      commit.push(...parts)
    }
  }
  await hand()
  return events
}

async function* allPages(core: Core, types: readonly string[]): AsyncGenerator<readonly StoredEvent[], void, undefined> {
  if (!core.store.capabilities.globalOrder) {
    for (const aggregateType of types)
      for (let after: string | undefined; ; ) {
        const ids = await core.store.readIds({ aggregateType, limit: pageSize, ...(after === undefined ? {} : { after }) })
        for (const id of ids.items) yield* pagesOf(core, aggregateType, id)
        after = ids.items.at(-1)
        if (!ids.more) break
      }
    return
  }
  const only = types.map((aggregateType) => ({ aggregateType }))
  for (let after: Position | undefined; ; ) {
    const behind = after === undefined ? {} : { after }
    const page = await readPage((limit) => core.store.readFeed({ only, limit, ...behind }))
    yield page.events
    if (!page.more) return
    after = page.position
  }
}

async function* pagesOf(
  core: Core,
  aggregateType: string,
  aggregateId: string,
): AsyncGenerator<readonly StoredEvent[], void, undefined> {
  for (let after = 0; ; ) {
    const from = after
    const page = await readPage((limit) => core.store.readAggregate({ aggregateType, aggregateId, after: from, limit }))
    yield page.events
    if (!page.more) return
    after = page.events.at(-1)?.sequence ?? after
  }
}

/** @throws ValidationError */
export function checkReplay(
  definitions: ReadonlyMap<string, AggregateDefinition>,
  typeOf: (aggregate: unknown) => string,
  query: unknown,
  options: object,
): ReplayRequest {
  checkCallOptions('app.replay', options, ['aggregate', 'id', 'onError', 'signal'])
  const { aggregate, id, onError, signal } = options as {
    aggregate?: unknown
    id?: unknown
    onError?: unknown
    signal?: AbortSignal
  }
  if (typeof query !== 'function') throw new ValidationError('app.replay: what gets the events must be a function.')
  if (onError !== undefined && typeof onError !== 'function') throw new ValidationError('app.replay: onError must be a function.')
  const aggregateType = aggregate === undefined ? undefined : typeOf(aggregate)
  if (aggregateType !== undefined && !definitions.has(aggregateType))
    throw new ValidationError(`app.replay: this app has no aggregate of the type '${aggregateType}'.`)
  if (id !== undefined && aggregateType === undefined)
    throw new ValidationError('app.replay: an id is one of an aggregate: give that too.')
  if (id !== undefined) checkId('app.replay', id)
  return { aggregateType, id: id as string | undefined, onError: onError as ReplayRequest['onError'], signal }
}
