import { ApplyError, ConflictError, messageOf } from '../errors.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import type { Core, InlineRows } from '../execution/core.ts'
import type { Loaded } from '../execution/loaded.ts'
import { Refused } from '../execution/refused.ts'

/** Each lost race means that another writer made progress. */
const rowAttempts = 200
const rowWaitMs = 2

/** An aggregate in messages. */
export interface Subject {
  readonly definition: AggregateDefinition
  readonly aggregateId: string
}

/** Evaluates rules before and after a decision. An error refuses the decision. @throws Refused */
export function evaluated<T>(evaluate: () => T): T {
  try {
    return evaluate()
  } catch (error) {
    throw new Refused({ kind: 'failed', error })
  }
}

/** Calls a rule. @throws ApplyError when it throws, or `check` does */
export function called<T>(
  { definition, aggregateId }: Subject,
  rule: string,
  { state, sequence }: Pick<Loaded, 'state' | 'sequence'>,
  call: (state: unknown) => unknown,
  check: (given: unknown) => T,
): T {
  try {
    return check(call(state))
  } catch (error) {
    const { type: aggregateType } = definition
    throw new ApplyError(
      `${rule} of ${aggregateType} '${aggregateId}' failed at sequence ${sequence}: ${messageOf(error)} Nothing was stored.`,
      { aggregateType, aggregateId, sequence },
      error,
    )
  }
}

/** The parts of `InlineRows` that all rules share. */
export const rowsBesides = (core: Core, { definition, aggregateId }: Subject): Pick<InlineRows, 'exclusively' | 'retry'> => ({
  exclusively: (task) => task(),
  retry: async (on, attempt) => {
    const { type: aggregateType } = definition
    if (attempt === rowAttempts)
      throw new ConflictError(
        `The rows of ${aggregateType} '${aggregateId}' lost the race against other writers ${attempt} times in a row. Nothing was stored. Retry later.`,
        { aggregateType, aggregateId, attempts: attempt },
      )
    core.observe?.({ kind: 'retry', aggregateType, aggregateId, attempt, on })
    if (attempt > 1) await core.runtime.sleep(rowWaitMs * core.runtime.random() * Math.min(attempt, 10))
  },
})
