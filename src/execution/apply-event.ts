import { ApplyError, messageOf } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import { deepFreeze } from '../util/json.ts'
import { isThenable, refusing } from '../util/refusing.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'
import { whyThrown } from './user-code-errors.ts'

type AppliedEvent = Pick<EventEnvelope, 'type' | 'data' | 'aggregateId' | 'sequence'>

/** The state after an event, frozen. @throws ApplyError */
export function applyEvent(definition: AggregateDefinition, state: unknown, event: AppliedEvent): unknown {
  const apply = definition.apply.get(event.type)
  if (apply === undefined) throw failed(definition, event, 'there is no such function')
  let next: unknown
  try {
    next = apply(state, event.data)
  } catch (error) {
    throw failed(definition, event, whyThrown(error, 'state'), error)
  }
  if (next === undefined) throw failed(definition, event, 'it returned nothing; it must return the next state')
  if (isThenable(next))
    throw refusing(failed(definition, event, 'it returned a promise; it must return the next state at once'), next)
  try {
    return deepFreeze(next)
  } catch (error) {
    throw refusing(failed(definition, event, `it returned a state that is not JSON: ${messageOf(error)}`, error), next)
  }
}

function failed(definition: AggregateDefinition, event: AppliedEvent, problem: string, cause?: unknown): ApplyError {
  const { aggregateId, sequence, type } = event
  const at = { aggregateType: definition.type, aggregateId, sequence }
  return new ApplyError(
    `apply.${type} of ${definition.type} '${aggregateId}' failed at event ${sequence}: ${problem}.`,
    at,
    cause,
  )
}
