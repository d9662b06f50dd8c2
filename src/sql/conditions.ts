import type { ViewFind } from '../store/store.ts'

/** Operators are looked up here, so that no caller's text becomes part of a statement. */
export const operators = { '=': '=', '<': '<', '<=': '<=', '>': '>', '>=': '>=' } as const

/**
 * Groups the conditions of a search by index: `orderBy` first, then indexes with `=` conditions.
 *
 * Those with `=` usually leave the fewest rows.
 */
export function conditionsByIndex({ where, orderBy }: ViewFind): Map<string, ViewFind['where'][number][]> {
  const byIndex = new Map<string, ViewFind['where'][number][]>(orderBy ? [[orderBy.index, []]] : [])
  const equalFirst = [...where].sort((a, b) => Number(b.is === '=') - Number(a.is === '='))
  for (const condition of equalFirst) {
    const known = byIndex.get(condition.index)
    if (known) known.push(condition)
    else byIndex.set(condition.index, [condition])
  }
  return byIndex
}
