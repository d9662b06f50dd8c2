import { DefinitionError } from '../errors.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import { decodeInTurn } from '../evolution/decode.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { LogEvent } from '../store/store.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { isPosition } from '../util/names.ts'
import { optional, readCallOptions, signalOption } from '../util/option-table.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'
import type { Core } from './core.ts'
import { feedPage } from './read-page.ts'

const optionsOfEvents = {
  after: optional<Position>((what, value, Failure) => {
    if (!isPosition(value)) throw new Failure(`${what} must be the position of an event, not '${String(value)}'.`)
  }),
  signal: signalOption,
}

/**
 * The events of these aggregate types after a position, in commit order, up to the end of the log.
 * Pages are read as the caller proceeds.
 */
export function readLog(
  core: Core,
  definitions: ReadonlyMap<string, AggregateDefinition>,
  lifecycle: Lifecycle,
  options: { after?: Position; signal?: AbortSignal },
): AsyncIterable<EventEnvelope> {
  lifecycle.check('app.events')
  if (!core.store.capabilities.globalOrder)
    throw new DefinitionError('app.events() needs a store with a global order; this one has none.')
  const { after, signal } = readCallOptions('app.events', options, optionsOfEvents)
  return { [Symbol.asyncIterator]: () => decoded(core, definitions, after, signal) }
}

async function* decoded(
  core: Core,
  definitions: ReadonlyMap<string, AggregateDefinition>,
  after: Position | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<EventEnvelope, void, undefined> {
  for await (const events of logPages(core, [...definitions.keys()], after, signal))
    for (const run of runsOfOneType(events))
      yield* await decodeInTurn(definitions.get(run.type) as AggregateDefinition, run.events)
}

/**
 * The stored events of these aggregate types after a position, in pages, up to the end of the log.
 */
export async function* logPages(
  { store }: Core,
  aggregateTypes: readonly string[],
  from?: Position,
  signal?: AbortSignal,
): AsyncGenerator<readonly StoredEvent[], void, undefined> {
  const only = aggregateTypes.map((aggregateType) => ({ aggregateType }))
  let last: LogEvent | undefined
  for (let after = from; ; ) {
    signal?.throwIfAborted()
    const page = await feedPage({ store }, { only, ...(after && { after }), ...(last && { confirm: last }) })
    yield page.events
    if (!page.more) return
    after = page.position
    last = page.last ?? last
  }
}

/**
 * Consecutive events of one aggregate type, so that each run is decoded by its definition and the
 * order is kept.
 */
function runsOfOneType(events: readonly StoredEvent[]) {
  const runs: { readonly type: string; readonly events: StoredEvent[] }[] = []
  for (const event of events) {
    const last = runs.at(-1)
    if (last?.type === event.aggregateType) last.events.push(event)
    else runs.push({ type: event.aggregateType, events: [event] })
  }
  return runs
}
