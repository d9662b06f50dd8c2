import type { Consumer } from '../consumers/consumer.ts'
import type { ConsumerCore } from '../consumers/core.ts'
import { looksOf } from '../consumers/looks.ts'
import { decoded } from '../consumers/process-batch.ts'
import { DefinitionError, ValidationError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { definitionOf } from '../execution/aggregate-definition.ts'
import { storedPages } from '../execution/replay.ts'
import type { StoredEvent } from '../store/commit.ts'
import { comparePositions } from '../store/order.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { isPosition } from '../util/names.ts'
import { optional, readCallOptions, signalOption, unchecked } from '../util/option-table.ts'
import { checkId } from '../util/options.ts'
import { Mapping, sendable } from './map-events.ts'
import type { PublicationDefinition } from './publication-definition.ts'
import { Round } from './round.ts'
import { sendTo } from './send.ts'
import { checkTarget, type Target } from './target.ts'

const optionsOfReplay = {
  after: optional<Position>((what, value, Failure) => {
    if (!isPosition(value)) throw new Failure(`${what} must be the position of an event, not '${String(value)}'.`)
  }),
  aggregate: optional<unknown>(unchecked),
  id: optional<string>(unchecked),
  to: optional<Target>(checkTarget),
  signal: signalOption,
}

/** Returns the `replay` of a publication. */
export function replayOf(core: ConsumerCore, publication: PublicationDefinition, consumer: Consumer, lifecycle: Lifecycle) {
  const at = `replay of the publication '${publication.name}'`
  return async (request: object = {}): Promise<{ readonly messages: number }> => {
    const { after, aggregate, id, to = publication.target, signal: given } = readCallOptions(at, request, optionsOfReplay)
    const type = aggregate === undefined ? undefined : definitionOf(`${at}: aggregate`, aggregate).type
    if (type !== undefined && !publication.aggregateTypes.includes(type))
      throw new ValidationError(`${at}: the publication does not follow the aggregate '${type}'.`)
    if (id !== undefined && type === undefined) throw new ValidationError(`${at}: the option id needs the option aggregate.`)
    if (id !== undefined) checkId(at, id)
    const { globalOrder } = core.store.capabilities
    if (after !== undefined && !globalOrder)
      throw new DefinitionError(`${at}: after needs a store with a global order; this one has none. Pass aggregate and id.`)
    return lifecycle.follow(at, given, async (signal) => {
      const types = type === undefined ? publication.aggregateTypes : [type]
      const end = globalOrder ? ((await looksOf(core).status(consumer)).position ?? null) : undefined
      if (end === null) return { messages: 0 }
      let messages = 0
      const isWanted = ({ position }: StoredEvent) =>
        position === undefined || (isUpTo(position, end) && !(after !== undefined && isUpTo(position, after)))
      for await (const page of storedPages(core, core.definitions, types, { id, after, signal })) {
        signal.throwIfAborted()
        messages += await publish(core, publication, to, page.filter(isWanted), signal)
        const last = page.at(-1)?.position
        if (last !== undefined && !isUpTo(last, end)) break
      }
      return { messages }
    })
  }
}

const isUpTo = (position: Position, end: Position | undefined): boolean =>
  end === undefined || comparePositions(position, end) <= 0

/** Publishes a page. Returns the number of messages. @throws the first error, in order of the events */
async function publish(
  core: ConsumerCore,
  publication: PublicationDefinition,
  target: Target,
  page: readonly StoredEvent[],
  signal: AbortSignal,
): Promise<number> {
  const mapping = new Mapping(publication)
  const events = []
  let failure: { readonly error: unknown } | undefined
  for (const one of await decoded(core, page)) {
    const mapped = one.failure === undefined ? await mapping.of(one) : { error: one.failure.error }
    if ('error' in mapped) failure = { error: mapped.error }
    if (failure !== undefined) break
    events.push({ decoded: one, mapped })
  }
  const messages = sendable(events)
  const { failed, away } = await new Round(target, messages, {
    send: (some) => sendTo(core, target, publication.timeoutMs, some, signal),
    isOver: () => signal.aborted,
  }).run()
  signal.throwIfAborted()
  for (const message of messages) if (failed.has(message)) throw failed.get(message)
  if (away !== undefined) throw away.error
  if (failure !== undefined) throw failure.error
  return messages.length
}
