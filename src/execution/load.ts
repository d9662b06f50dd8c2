import { StoreError } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import { decodeInTurn, decodePage } from '../evolution/decode.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { AggregatePage, AggregateRequest } from '../store/store.ts'
import { deepFreeze } from '../util/json.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'
import type { AggregateSlot } from './aggregate-slot.ts'
import { applyEvent } from './apply-event.ts'
import type { Core } from './core.ts'
import type { Loaded } from './loaded.ts'
import { aggregatePage } from './read-page.ts'
import { stopwatch } from './stopwatch.ts'

interface ReadRequest {
  readonly definition: AggregateDefinition
  readonly aggregateId: string
  /** Stop at this sequence. */
  readonly upTo?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Reads the current state, or the state at `upTo`.
 *
 * Starts from a known state, else from the snapshot, else from the first event. Drops a known state
 * that the store no longer has because the database lost its last commits.
 */
export async function loadAggregate(
  core: Core,
  slot: AggregateSlot,
  { from, ...request }: ReadRequest & { readonly from?: Loaded | undefined },
): Promise<Loaded> {
  const loaded = await loadFrom(core, slot, request, from)
  if (loaded !== undefined) return loaded
  slot.cached = undefined
  return (await loadFrom(core, slot, request, undefined)) as Loaded
}

/**
 * `undefined` if the store has lost the last event of `from`. That event is read together with the
 * later ones, so confirming it costs no request of its own.
 */
async function loadFrom(
  core: Core,
  slot: AggregateSlot,
  request: ReadRequest,
  from: Loaded | undefined,
  trustSnapshot = true,
): Promise<Loaded | undefined> {
  const { definition, aggregateId, upTo } = request
  const ms = stopwatch(core)
  let state = from === undefined ? definition.initialState() : from.state
  let sequence = from?.sequence ?? 0
  let commitId = from?.commitId
  let toConfirm = commitId
  let source: 'start' | 'snapshot' | 'cache' = from === undefined ? 'start' : 'cache'
  let events = 0
  const stateVersion =
    trustSnapshot && from === undefined && definition.snapshots !== 'never' ? definition.stateVersion : undefined
  const read = (wanted: AggregateRequest) => core.store.readAggregate(wanted)
  for await (const page of pages(read, request, toConfirm === undefined ? sequence : sequence - 1, stateVersion)) {
    if (page.snapshot !== undefined) {
      if (definition.stateProblem(page.snapshot.state) !== undefined) return loadFrom(core, slot, request, undefined, false)
      state = deepFreeze(page.snapshot.state)
      sequence = page.snapshot.sequence
      commitId = page.snapshot.commitId
      source = 'snapshot'
    }
    if (toConfirm !== undefined && page.events[0]?.commitId !== toConfirm) return undefined
    const added = toConfirm === undefined ? page.events : page.events.slice(1)
    toConfirm = undefined
    for (const event of await decodePage(definition, added)) state = applyEvent(definition, state, event)
    const last = added.at(-1)
    sequence = last?.sequence ?? sequence
    commitId = last?.commitId ?? commitId
    events += added.length
  }
  core.observe?.({ kind: 'load', aggregateType: definition.type, aggregateId, from: source, events, sequence, ms: ms() })
  const loaded = from?.sequence === sequence ? from : { state, sequence, commitId }
  if (upTo === undefined) core.slots.cache(slot, loaded)
  return loaded
}

/**
 * The events of one aggregate after a sequence, in order. Pages are read as the caller proceeds.
 */
export async function* readEvents(
  core: Core,
  request: ReadRequest,
  after: number,
): AsyncGenerator<EventEnvelope, void, undefined> {
  for await (const events of readStored(core, request, after)) yield* await decodeInTurn(request.definition, events)
}

/** The same as they are stored, in pages. */
export async function* readStored(
  core: Core,
  request: ReadRequest,
  after: number,
): AsyncGenerator<readonly StoredEvent[], void, undefined> {
  const read = (wanted: AggregateRequest) => aggregatePage(core, wanted)
  for await (const page of pages(read, request, after)) yield page.events
}

/** @throws StoreError if an event is missing: the state without it never existed */
async function* pages(
  read: (wanted: AggregateRequest) => Promise<AggregatePage>,
  request: ReadRequest,
  after: number,
  stateVersion?: string,
): AsyncGenerator<AggregatePage, void, undefined> {
  const { definition, aggregateId, upTo, signal } = request
  let last = after
  let wanted = stateVersion
  for (;;) {
    signal?.throwIfAborted()
    const page = await read({
      aggregateType: definition.type,
      aggregateId,
      after: last,
      ...(upTo === undefined ? {} : { upTo }),
      ...(wanted === undefined ? {} : { snapshot: { stateVersion: wanted } }),
    })
    last = page.snapshot?.sequence ?? last
    for (const event of page.events) {
      if (event.sequence !== last + 1)
        throw new StoreError(
          'STORE_CORRUPT',
          `The events of ${definition.type} '${aggregateId}' have a gap: event ${event.sequence} follows event ${last}. Reading stops here. Check the database.`,
        )
      last = event.sequence
    }
    yield page
    if (!page.more) return
    wanted = undefined
  }
}
