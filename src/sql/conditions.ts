import type { ViewFind } from '../store/store.ts'

/** Looked up, never pasted: what a caller passes is no part of a statement. */
export const operators = { '=': '=', '<': '<', '<=': '<=', '>': '>', '>=': '>=' } as const

/** The conditions of a search by the index they are on: first the one it is ordered by, then those that leave the fewest rows. */
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
