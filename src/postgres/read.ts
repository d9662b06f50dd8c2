import { oneOf, type Row, whole } from '../sql/columns.ts'
import { GatheredReads } from '../sql/gathered-reads.ts'
import { mostEvents } from '../sql/page.ts'
import { type EventRow, toStoredSnapshot } from '../sql/rows.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { AggregatePage, AggregateRequest } from '../store/store.ts'
import type { Connection } from './connection.ts'
import { rowKinds } from './read-function.ts'
import type { Statements } from './statements.ts'

/** Reads aggregates, those requested at the same time by one call of a function. */
export class AggregateReads {
  readonly #reads: GatheredReads<AggregateRequest, AggregatePage | undefined>

  constructor(
    connection: Connection,
    { readAggregates }: Statements,
    mostBytes: number,
    toStoredEvent: (row: EventRow) => StoredEvent,
  ) {
    this.#reads = new GatheredReads(async (requests) => {
      const rows = await connection.all(readAggregates, JSON.stringify(requests.map(toWanted)), mostBytes)
      return toPages(requests, rows, toStoredEvent)
    })
  }

  async read(request: AggregateRequest): Promise<AggregatePage> {
    const page = await this.#reads.read(request)
    if (page !== undefined) return page
    const { snapshot: _, ...withoutSnapshot } = request
    return this.read(withoutSnapshot)
  }
}

const toWanted = ({
  aggregateType: t,
  aggregateId: i,
  after: s,
  upTo: u = Number.MAX_SAFE_INTEGER,
  limit,
  snapshot,
}: AggregateRequest) => ({
  t,
  i,
  s,
  u,
  l: Math.min(limit ?? mostEvents, mostEvents),
  v: snapshot?.stateVersion,
})

const kinds = Object.values(rowKinds)

/** A page for each request that was read. */
function toPages(
  requests: readonly AggregateRequest[],
  rows: readonly Row[],
  toStoredEvent: (row: EventRow) => StoredEvent,
): (() => AggregatePage | undefined)[] {
  const found = requests.map((): { row: Row; kind: string }[] => [])
  let read = requests.length
  for (const row of rows) {
    const kind = oneOf(row, 'kind', kinds)
    const at = whole(row, 'nth') - 1
    if (kind === rowKinds.full) read = at
    else found[at]?.push({ row, kind })
  }
  return requests.slice(0, read).map((request, at) => () => toPage(request, found[at] ?? [], toStoredEvent))
}

/** Returns `undefined` if the snapshot is corrupt: the events before it are needed, too. */
function toPage(
  { snapshot: wanted }: AggregateRequest,
  found: readonly { readonly row: Row; readonly kind: string }[],
  toStoredEvent: (row: EventRow) => StoredEvent,
): AggregatePage | undefined {
  const of = (kind: string) => found.filter((one) => one.kind === kind).map(({ row }) => row)
  const [saved] = of(rowKinds.snapshot)
  const snapshot = saved && toStoredSnapshot(wanted?.stateVersion ?? '', saved)
  if (saved !== undefined && snapshot === undefined) return undefined
  const events = of(rowKinds.event).map(toStoredEvent)
  return { ...(snapshot && { snapshot }), events, more: of(rowKinds.more).length > 0 }
}
