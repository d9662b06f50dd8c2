import type { AggregateDefinition } from '../aggregate-definition.ts'
import { DefinitionError, ValidationError } from '../errors.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import { decodeInTurn } from '../evolution/decode.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { StoredEvent } from '../store/commit.ts'
import { checkCallOptions } from './call.ts'
import type { Core } from './core.ts'
import { readPage } from './read-page.ts'

/** The events of these aggregate types after a position, in commit order, read page by page as they are asked for; ends where the log ends now. */
export function readLog(
  core: Core,
  definitions: ReadonlyMap<string, AggregateDefinition>,
  lifecycle: Lifecycle,
  options: { after?: Position; signal?: AbortSignal },
): AsyncIterable<EventEnvelope> {
  lifecycle.check('app.events')
  if (!core.store.capabilities.globalOrder)
    throw new DefinitionError('app.events() needs a store with a global order; this one has none.')
  checkCallOptions('app.events', options, ['after', 'signal'])
  const { after, signal } = options
  if (after !== undefined && !(typeof after === 'string' && /^\d{1,32}$/.test(after)))
    throw new ValidationError(`app.events: after must be the position of an event, not '${String(after)}'.`)
  return { [Symbol.asyncIterator]: () => pages(core, definitions, after, signal) }
}

async function* pages(
  core: Core,
  definitions: ReadonlyMap<string, AggregateDefinition>,
  from: Position | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<EventEnvelope, void, undefined> {
  const only = [...definitions.keys()].map((aggregateType) => ({ aggregateType }))
  let after = from
  for (;;) {
    signal?.throwIfAborted()
    const behind = after === undefined ? {} : { after }
    const page = await readPage((limit) => core.store.readFeed({ only, limit, ...behind }))
    for (const run of runsOfOneType(page.events))
      yield* await decodeInTurn(definitions.get(run.type) as AggregateDefinition, run.events)
    if (!page.more) return
    after = page.position
  }
}

/** Neighbours of one aggregate type, so that each run is decoded by its own definition and the order stays. */
function runsOfOneType(events: readonly StoredEvent[]) {
  const runs: { readonly type: string; readonly events: StoredEvent[] }[] = []
  for (const event of events) {
    const last = runs.at(-1)
    if (last?.type === event.aggregateType) last.events.push(event)
    else runs.push({ type: event.aggregateType, events: [event] })
  }
  return runs
}
