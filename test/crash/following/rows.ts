import { isCqrsError } from 'cqrs-es'
import { digitRowOf, type FollowingApp, isInline, isShared, keyOf, nextRow, type Row, targets, type ViewName } from './app.ts'
import type { Board } from './board.ts'

/** What a reader was given, and what the writers had said before it asked and after it was answered. */
export interface Answer {
  readonly how: 'load' | 'find'
  readonly id: string
  readonly row: Row | undefined
  readonly done: Readonly<Record<string, number>>
  readonly begun: Readonly<Record<string, number>>
}

/** The aggregates whose events a row is made of. */
export const aggregatesOf = (view: ViewName, id: string) =>
  targets.filter((target) => (isShared(view) ? digitRowOf(target.id) === id : target.type === 'purse' && target.id === id))

/** Ids of all rows that a view may have. */
export const rowIdsOf = (view: ViewName): readonly string[] => [
  ...new Set(
    targets.filter(({ type }) => isShared(view) || type === 'purse').map(({ id }) => (isShared(view) ? digitRowOf(id) : id)),
  ),
]

/** Asks for a row, or for all with one digit. */
export async function readAsRow({ views }: FollowingApp, view: ViewName, turn: number, board: Board): Promise<readonly Answer[]> {
  const ids = rowIdsOf(view)
  const done = board.read('done')
  if (turn % 3 !== 2) {
    const id = ids[turn % ids.length] as string
    const row = (await views[view].load(id))?.view
    return [{ how: 'load', id, row, done, begun: board.read('begun') }]
  }
  const digit = turn % 5
  const page = await views[view].find({ digit }).catch((error: unknown) => {
    if (isCqrsError(error, 'VIEW_OUTDATED')) return undefined
    throw error
  })
  // Until its version is live, a program can only load.
  if (page === undefined) return []
  const { items } = page
  const begun = board.read('begun')
  const expected = ids.filter((id) => Number(id.at(-1)) % 5 === digit)
  const found = new Map(items.map((item) => [item.id, item.view]))
  const all = new Set([...expected, ...found.keys()])
  if (found.size < items.length) throw new Error(`find answered a row twice: ${items.map(({ id }) => id)}`)
  return [...all].map((id) => ({ how: 'find' as const, id, row: found.get(id), done, begun }))
}

/** What is wrong with an answer. `last`: the count that was answered before. */
export function problemOf(
  { id, row, done, begun }: Answer,
  {
    view,
    made,
    last,
    mayGoBack = false,
  }: { readonly view: ViewName; readonly made: number; readonly last: number; readonly mayGoBack?: boolean },
): string | undefined {
  const own = aggregatesOf(view, id).map(keyOf)
  if (row === undefined) {
    if (isInline(view) && own.some((key) => (done[key] ?? 0) > 0)) return 'there is no row, though events were acknowledged'
    return last > 0 ? `there is no row, but there was one of ${last} events` : undefined
  }
  if (own.length === 0) return 'there should be no such row'
  if (row.made !== made) return `it was made by version ${row.made}`
  if (row.jumps > 0) return `${row.jumps} events came out of turn`
  if (row.count !== Object.values(row.seen).reduce((sum, n) => sum + n, 0)) return 'it counted something twice'
  if (Object.keys(row.seen).some((key) => !own.includes(key))) return "it has another row's events"
  if (own.length === 1 && row.trail !== trailOf(own[0] as string, row.count)) return 'its trail is not that of its events'
  if (row.count < last && !(mayGoBack && !isInline(view))) return `it went back from ${last} to ${row.count}`
  for (const key of own) {
    const seen = row.seen[key] ?? 0
    if (isInline(view) && seen < (done[key] ?? 0)) return `it has ${seen} of ${key}, but ${done[key]} were acknowledged before`
    if (seen > (begun[key] ?? 0)) return `it has ${seen} of ${key}, but only ${begun[key]} were begun`
  }
  return undefined
}

const trails = new Map<string, Row[]>()

/** Of the first `count` events of an aggregate. */
function trailOf(key: string, count: number): number {
  const known = trails.get(key) ?? [{ digit: 0, count: 0, seen: {}, jumps: 0, trail: 0, made: 0 }]
  trails.set(key, known)
  const [aggregateType = '', aggregateId = ''] = key.split('/')
  for (let n = known.length; n <= count; n++)
    known.push(nextRow(known[n - 1] as Row, { aggregateType, aggregateId, sequence: n }))
  return (known[count] as Row).trail
}
