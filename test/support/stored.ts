import type { Store } from 'cqrs-es'

export interface OldEvent {
  readonly type: string
  readonly version?: string
  readonly data?: unknown
  readonly metadata?: Record<string, unknown>
}

/** Stores events as an earlier (or later) program did. */
export async function storedBefore(store: Store, aggregateType: string, aggregateId: string, ...old: OldEvent[]): Promise<void> {
  const { events } = await store.readAggregate({ aggregateType, aggregateId, after: 0 })
  const commitId = crypto.randomUUID()
  const recordedAt = '2019-01-01T00:00:00.000Z'
  const added = old.map(({ type, version = '1.0', data = {}, metadata = {} }, i) => {
    const sequence = events.length + 1 + i
    const id = `${aggregateType}/${aggregateId}/${sequence}`
    return { id, type, version, data, aggregateType, aggregateId, sequence, metadata, commitId, recordedAt }
  })
  const append = { aggregateType, aggregateId, expectedSequence: events.length, events: added }
  const [outcome] = await store.append([{ id: commitId, appends: [append] }])
  if (outcome?.kind !== 'stored') throw new Error(`The events of the past were not stored: ${JSON.stringify(outcome)}`)
}
