import { isRejection, type Rejection } from '../reject.ts'
import { isThenable } from '../util/refusing.ts'
import type { Handler } from './aggregate-definition.ts'
import { applyEvent } from './apply-event.ts'
import type { Call } from './call.ts'
import type { Core, WiredAggregate } from './core.ts'
import type { Loaded } from './loaded.ts'
import { encodeEvents, type NewEvents, newEvents } from './new-events.ts'

/** The decision of a handler. */
export type Decision = { readonly kind: 'rejected'; readonly rejection: Rejection } | { readonly kind: 'nothing' } | DecidedEvents
export type DecidedEvents = NewEvents & { readonly kind: 'events'; readonly commitId: string }

type Scene = Pick<Core, 'runtime' | 'isoText' | 'neverAborts'>

/**
 * Runs the handler and checks its result, synchronously unless the handler returns a promise.
 * Exceptions of the handler pass through. The commit gets the id `freeId` if there is one: a random
 * one that no commit was sent under.
 *
 * @throws InvalidEventError, ApplyError
 */
export function decide(
  { runtime, isoText, neverAborts }: Scene,
  { definition, services }: Pick<WiredAggregate, 'definition' | 'services'>,
  call: Pick<Call, 'aggregateId' | 'command' | 'metadata' | 'signal'>,
  data: unknown,
  commandId: string,
  base: Loaded,
  freeId?: string,
): Decision | Promise<Decision> {
  const { aggregateId, command, metadata } = call
  const by = () => `${command.type} on ${definition.type} '${aggregateId}' returned`
  const now = runtime.now()
  const handle = definition.handle.get(command.type) as Handler
  const recordedAt = isoText(now)
  const decided = handle(base.state, data, {
    services,
    aggregateId,
    commandId,
    sequence: base.sequence,
    metadata,
    now,
    signal: call.signal ?? neverAborts,
    event: definition.event,
    apply: (state: unknown, ...events: readonly unknown[]) =>
      encodeEvents(definition, by, events).reduce(
        (current, { type, data }, i) =>
          applyEvent(definition, current, { type, data, aggregateId, sequence: base.sequence + i + 1 }),
        state,
      ),
  })
  const check = (result: unknown): Decision => {
    if (isRejection(result)) return { kind: 'rejected', rejection: result }
    const events = result === undefined ? [] : Array.isArray(result) ? result : [result]
    if (events.length === 0) return { kind: 'nothing' }
    const commitId = freeId ?? runtime.randomUUID()
    const context = { aggregateId, metadata, commitId, recordedAt }
    const { stored, data: decoded, state, sequence } = newEvents(definition, context, by, base, events)
    return { kind: 'events', commitId, stored, data: decoded, state, sequence }
  }
  return isThenable(decided) ? Promise.resolve(decided).then(check) : check(decided)
}
