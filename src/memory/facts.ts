import type { CommitFacts } from '../store/find-conflict.ts'
import { noEvents } from '../store/head.ts'
import type { Leases } from './leases.ts'
import type { Tables } from './tables.ts'

/** The current facts, read from the tables and the leases. */
export const factsOf = (tables: Tables, leases: Leases): CommitFacts => ({
  positions({ id, appends }) {
    const [first] = appends
    const stored = first && tables.aggregate(first.aggregateType, first.aggregateId)?.events[first.expectedSequence]
    if (stored?.commitId !== id) return undefined
    return appends.flatMap(({ aggregateType, aggregateId, expectedSequence, events }) => {
      const rows = tables.aggregate(aggregateType, aggregateId)?.events ?? []
      return rows.slice(expectedSequence, expectedSequence + events.length).map((row) => row.position)
    })
  },
  checkpoint(name) {
    const stands = tables.checkpoints.get(name)
    return { fence: leases.fence(name) ?? null, position: stands?.position ?? null, commitId: stands?.commitId ?? null }
  },
  hasKey: ({ aggregateType, aggregateId }, idempotencyKey) =>
    tables.aggregate(aggregateType, aggregateId)?.keys?.has(idempotencyKey) === true,
  head: ({ aggregateType, aggregateId }) => tables.aggregate(aggregateType, aggregateId)?.events.at(-1) ?? noEvents,
  generations: (name) => tables.viewGenerations(name),
  viewVersion: ({ name, generation, id }) => tables.view(name, generation, id)?.version ?? 0,
})
