import type { Append, Commit, CommitOutcome, Position, Store, StoredEvent } from 'cqrs-es/store'

/** A commit of one aggregate, as the core would send it. */
export function commit(
  id: string,
  aggregateId: string,
  expectedSequence: number,
  data: readonly unknown[] = [{ amount: 1 }],
): Commit {
  return { id, appends: [append(id, 'account', aggregateId, expectedSequence, data)] }
}

export function append(
  commitId: string,
  aggregateType: string,
  aggregateId: string,
  expectedSequence: number,
  data: readonly unknown[],
): Append {
  const events = data.map((data, i) => ({
    id: `${aggregateType}/${aggregateId}/${expectedSequence + 1 + i}`,
    type: 'MoneyDeposited',
    version: '1.0',
    data,
    aggregateType,
    aggregateId,
    sequence: expectedSequence + 1 + i,
    metadata: { userId: 'ann' },
    commitId,
    recordedAt: '2026-01-01T00:00:00.000Z',
  }))
  return { aggregateType, aggregateId, expectedSequence, events }
}

export async function appendOne(store: Store, one: Commit): Promise<CommitOutcome> {
  const [outcome] = await store.append([one])
  if (outcome === undefined) throw new Error('the store gave no outcome')
  return outcome
}

export const dataOf = async (store: Store, aggregateId: string): Promise<unknown[]> =>
  (await store.readAggregate({ aggregateType: 'account', aggregateId, after: 0 })).events.map((event) => event.data)

/** The code and message of an append that failed, and whether it is certain that nothing was stored. */
export function failure(outcome: CommitOutcome): { code: unknown; message: string; certain: boolean } {
  if (outcome.kind !== 'failed') throw new Error(`expected a failed commit, got ${JSON.stringify(outcome)}`)
  const cause = outcome.cause as Error & { code?: unknown }
  return { code: cause.code, message: cause.message, certain: outcome.certain }
}

/** All of the log, in small pages. */
export async function readLog(store: Store, only?: readonly { readonly aggregateType: string }[]): Promise<StoredEvent[]> {
  const events: StoredEvent[] = []
  let after: Position | undefined
  for (let more = true; more; ) {
    const page = await store.readFeed({ limit: 7, ...(only && { only }), ...(after !== undefined && { after }) })
    events.push(...page.events)
    after = page.position
    more = page.more
  }
  return events
}
