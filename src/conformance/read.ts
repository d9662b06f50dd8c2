import type { Position } from '../event-envelope.ts'
import type { StoredEvent } from '../store/commit.ts'
import { comparePositions } from '../store/order.ts'
import type { AggregateRequest, FeedRequest, Store, StoredSnapshot, StoredView, ViewFind } from '../store/store.ts'
import { equal, holds } from './check.ts'

export type Partly<T> = { readonly [K in keyof T]?: T[K] }

export interface Reading {
  readonly events: readonly StoredEvent[]
  readonly snapshot?: StoredSnapshot
}

/** Reads all pages of an aggregate: the snapshot of the first and the events of all. */
export async function readAll(store: Store, aggregateId: string, rest: Partly<AggregateRequest> = {}): Promise<Reading> {
  const request = { aggregateType: 'account', after: 0, ...rest, aggregateId }
  const first = await store.readAggregate(request)
  const events = [...first.events]
  const { snapshot: _, ...tail } = request
  for (let page = first, after = request.after; page.more; ) {
    const last = page.events.at(-1)?.sequence ?? 0
    holds('a page that says there is more has events behind the one before', last > after)
    after = last
    page = await store.readAggregate({ ...tail, after })
    events.push(...page.events)
  }
  return first.snapshot === undefined ? { events } : { events, snapshot: first.snapshot }
}

export const sequencesOf = (events: readonly StoredEvent[]): readonly number[] => events.map(({ sequence }) => sequence)

export const sequences = async (store: Store, aggregateId: string, rest: Partly<AggregateRequest> = {}) =>
  sequencesOf((await readAll(store, aggregateId, rest)).events)

/** Reads the snapshot of an account without its commit id, which differs in each run. */
export async function snapshotOf(store: Store, aggregateId: string, stateVersion = '1') {
  const page = await store.readAggregate({ aggregateType: 'account', aggregateId, after: 0, snapshot: { stateVersion } })
  if (page.snapshot === undefined) return undefined
  const { commitId: _, ...snapshot } = page.snapshot
  return snapshot
}

/** Reads the whole feed, page by page. */
export async function readLog(store: Store, rest: Partly<FeedRequest> = {}): Promise<readonly StoredEvent[]> {
  const events: StoredEvent[] = []
  let after: Position | undefined = rest.after
  for (let more = true; more; ) {
    const page = await store.readFeed({ limit: 1_000, ...rest, ...(after !== undefined && { after }) })
    events.push(...page.events)
    holds('a page that says there is more has moved on', !page.more || page.position !== after)
    after = page.position
    more = page.more
  }
  return events
}

export const isAfter = ({ position }: StoredEvent, after: Position) =>
  position !== undefined && comparePositions(position, after) > 0

export const grow = (events: readonly StoredEvent[]) =>
  events.every((event, i) => i === 0 || isAfter(event, events[i - 1]?.position as Position))

export const idsOf = (items: readonly { readonly id: string }[]): readonly string[] => items.map(({ id }) => id)

export async function readView(store: Store, id: string, rest: { name?: string; generation?: number | 'live' } = {}) {
  const rows = await store.readViews([{ name: 'balances', generation: 1, ...rest, id }])
  equal('answers for one key', rows.length, 1)
  return rows[0]
}

/** Reads all pages of a find. */
export async function findAll(store: Store, rest: Partly<ViewFind> = {}): Promise<readonly StoredView[]> {
  const request: ViewFind = { name: 'balances', generation: 1, where: [], limit: 1_000, ...rest }
  const items: StoredView[] = []
  let page = await store.findViews(request)
  items.push(...page.items)
  for (let last = request.after; page.next; ) {
    holds('a page with a next one has items and moves on', page.items.length > 0 && page.next.id !== last?.id)
    last = page.next
    page = await store.findViews({ ...request, after: last })
    items.push(...page.items)
  }
  return items
}

export const findIds = async (store: Store, rest: Partly<ViewFind> = {}) => idsOf(await findAll(store, rest))

export const pause = (ms = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Repeats a probe until it has a result, where the result depends on the database's clock. */
export async function eventually<T>(what: string, probe: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 1_000; tries++) {
    const answer = await probe()
    if (answer !== undefined) return answer
    await pause(10)
  }
  throw new Error(`${what} did not happen within ten seconds`)
}

/** Takes a lease of this name, and returns its fence. */
export async function lease(store: Store, name: string, holder = 'one', ttlMs = 60_000): Promise<number> {
  const answer = await store.acquireLease({ name, holder, ttlMs })
  equal(`the lease is free for '${holder}'`, answer.acquired, true)
  return answer.acquired ? answer.fence : 0
}
