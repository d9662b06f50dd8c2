import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import type { Core, InlineViews } from '../execution/core.ts'
import type { Adopting } from '../execution/extension.ts'
import type { StateRules } from '../execution/state-rules.ts'
import { evaluated, rowsBesides } from '../rules/own-rows.ts'
import type { ViewWrite } from '../store/commit.ts'
import { type DeadlineRow, type Deadlines, deadlineName, deadlineRowsIn, rowIdOf } from './deadline-row.ts'
import { isSame, nextDeadlines, wantedOf } from './wanted.ts'

/** Returns the function that computes the deadlines which a commit sets, moves and withdraws. */
export const deadlineWritesOf = (core: Core, definition: AggregateDefinition, { functions }: StateRules): InlineViews => {
  let rows: ReturnType<typeof deadlineRowsIn> | undefined
  return (aggregateId, added, base, together) => {
    const subject = { definition, aggregateId }
    const [before, after] = evaluated(() => [wantedOf(subject, functions, base), wantedOf(subject, functions, added)] as const)
    if (together?.hasDeadlines || isSame(before, after)) return undefined
    return {
      ...rowsBesides(core, subject),
      areShared: false,
      compute: async (on, attempt) => {
        rows ??= deadlineRowsIn(core.store)
        const id = await rowIdOf(definition.type, aggregateId)
        const known = attempt === 1 ? on.rows?.get(deadlineName) : undefined
        const row = known === undefined ? await rows.read(core.store, id) : rows.parse(id, known)
        const value = rowOf(subject.definition.type, aggregateId, nextDeadlines(row.value?.deadlines ?? {}, after))
        const next = { ...rows.key(id), version: row.version + 1, view: value }
        return { writes: [rows.write(row, value)], rows: new Map(on.rows).set(deadlineName, next) }
      },
    }
  }
}

/** Returns the content of a row; `null` without deadlines. */
export const rowOf = (aggregateType: string, aggregateId: string, deadlines: Deadlines): DeadlineRow | null =>
  Object.keys(deadlines).length === 0 ? null : { aggregateType, aggregateId, deadlines }

/** Returns the row of an aggregate if it lacks deadlines. */
export async function missingDeadlines({ store }: Core, adopting: Adopting): Promise<readonly ViewWrite[]> {
  const { definition, aggregateId, rules, state } = adopting
  const rows = deadlineRowsIn(store)
  const row = await rows.read(store, await rowIdOf(definition.type, aggregateId))
  const before = row.value?.deadlines ?? {}
  const next = nextDeadlines(before, wantedOf({ definition, aggregateId }, rules.functions, state))
  return isSame(before, next) ? [] : [rows.write(row, rowOf(definition.type, aggregateId, next))]
}
