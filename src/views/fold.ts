import { ApplyError, messageOf } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import { whyThrown } from '../execution/user-code-errors.ts'
import type { ViewWrite } from '../store/commit.ts'
import { encodeIndexValue, type IndexValue } from '../store/index-value.ts'
import { deepFreeze, jsonProblem, toJson } from '../util/json.ts'
import { maxNameLength, nameProblem } from '../util/names.ts'
import { isThenable, refusing } from '../util/refusing.ts'
import type { ViewDefinition } from './view-definition.ts'

/** Returns the ids of the rows that an event touches, without duplicates. @throws ApplyError */
export function idsOf(view: ViewDefinition, event: EventEnvelope): readonly string[] {
  if (view.id === undefined) return [event.aggregateId]
  const answer = guard(view, 'id', event, () => view.id?.(event))
  if (isThenable(answer)) throw refusing(failed(view, 'id', event, 'it returned a promise; it must return ids at once'), answer)
  const ids = new Set(Array.isArray(answer) ? answer : [answer])
  for (const id of ids) {
    const problem = nameProblem(id)
    if (problem !== undefined) throw refusing(failed(view, 'id', event, `an id ${problem} (return [] for no view)`), answer)
  }
  return [...ids] as string[]
}

/**
 * Returns the frozen row after an event; `null` means no row, before and after.
 *
 * @throws ApplyError
 */
export function foldView(view: ViewDefinition, current: unknown, event: EventEnvelope): unknown {
  const update = view.update.get(event.type)
  if (update === undefined) return current
  const next = guard(view, `update.${event.type}`, event, () => update(current ?? view.initialView(), event))
  if (next === undefined)
    throw failed(view, `update.${event.type}`, event, 'it returned undefined. Return the next view, or null to delete the row')
  if (isThenable(next))
    throw refusing(
      failed(view, `update.${event.type}`, event, 'it returned a promise; it must return the next view at once'),
      next,
    )
  try {
    return deepFreeze(next)
  } catch (error) {
    const problem = `it returned a view that is not JSON: ${messageOf(error)}`
    throw refusing(failed(view, `update.${event.type}`, event, problem, error), next)
  }
}

/** Returns a frozen copy that survives JSON unchanged. @throws ApplyError */
export function storableView(view: ViewDefinition, id: string, value: unknown, event: EventEnvelope): unknown {
  try {
    return deepFreeze(toJson(value))
  } catch (error) {
    throw refusing(
      failed(view, `update.${event.type}`, event, `the view '${id}' must be JSON, but ${jsonProblem(error)}`, error),
      value,
    )
  }
}

/** Returns the index values of a row; an absent field has none. @throws ApplyError */
export function indexValues(
  view: ViewDefinition,
  id: string,
  value: unknown,
  event: EventEnvelope,
): NonNullable<ViewWrite['indexes']> {
  return view.indexes.flatMap((index) => {
    const found = value !== null && Object.hasOwn(value as object, index) ? (value as Record<string, unknown>)[index] : undefined
    if (found === undefined) return []
    const problem = indexValueProblem(found)
    if (problem !== undefined)
      throw failed(view, `update.${event.type}`, event, `the index '${index}' of the view '${id}' ${problem}`)
    return [{ index, value: encodeIndexValue(found as IndexValue) }]
  })
}

/** Returns the problem with an index value, if any. */
export function indexValueProblem(value: unknown): string | undefined {
  if (value === null || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return undefined
  if (typeof value !== 'string') return `must be a text, a finite number, a boolean or null`
  return value === '' || nameProblem(value) === undefined
    ? undefined
    : value.length > maxNameLength
      ? `is ${value.length} characters long; the limit of an index value is ${maxNameLength}`
      : String(nameProblem(value))
}

function guard(view: ViewDefinition, part: string, event: EventEnvelope, run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    throw failed(view, part, event, whyThrown(error, 'view'), error)
  }
}

function failed(view: ViewDefinition, part: string, event: EventEnvelope, problem: string, cause?: unknown): ApplyError {
  const { aggregateType, aggregateId, sequence } = event
  return new ApplyError(
    `${part} of the view '${view.name}' failed at event ${sequence} (${event.type}) of ${aggregateType} '${aggregateId}': ${problem}.`,
    { aggregateType, aggregateId, sequence },
    cause,
  )
}

/**
 * Returns the write of a row after `last`, its last event. `sequence`: the last event in it, where
 * it follows one aggregate.
 *
 * @throws ApplyError
 */
export function rowWrite(
  view: ViewDefinition,
  { generation, id, expectedVersion }: Pick<ViewWrite, 'generation' | 'id' | 'expectedVersion'>,
  value: unknown,
  last: EventEnvelope,
  sequence = last.sequence,
): ViewWrite {
  const stored = storableView(view, id, value, last)
  return {
    name: view.storedAs,
    generation,
    id,
    expectedVersion,
    view: stored,
    ...(view.followsOne ? { sequence } : {}),
    indexes: indexValues(view, id, stored, last),
  }
}
