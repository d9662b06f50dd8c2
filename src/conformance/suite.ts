import { appendCases } from './append.ts'
import { batchCases } from './batch.ts'
import type { Body, Cases, ConditionalCase, Given } from './case.ts'
import { changeCases } from './changes.ts'
import { checkpointCases } from './checkpoints.ts'
import { conflictCases } from './conflicts.ts'
import { consumerCases } from './consumers.ts'
import { corruptionCases } from './corruption.ts'
import { dataCases } from './data.ts'
import { feedCases } from './feed.ts'
import { feedRaceCases } from './feed-races.ts'
import { findCases } from './find.ts'
import { generationCases } from './generations.ts'
import { headCases } from './heads.ts'
import type { ConformanceHost } from './host.ts'
import { instanceCases } from './instances.ts'
import { keyCases } from './keys.ts'
import { leaseCases } from './leases.ts'
import { limitCases } from './limits.ts'
import { nameCases } from './names.ts'
import { readCases } from './reads.ts'
import { repeatCases } from './repeats.ts'
import { schemaCases } from './schema.ts'
import { snapshotCases } from './snapshots.ts'
import { transactionCases } from './transactions.ts'
import { viewCases } from './views.ts'
import { watchCases } from './watch.ts'

/**
 * One sentence of the contract, with the check that a store keeps it.
 *
 * @example
 * ```ts
 * import type { ConformanceCase } from 'cqrs-es/conformance'
 *
 * export const title = (c: ConformanceCase) => (c.notApplicable ? `${c.name} (not applicable: ${c.notApplicable})` : c.name)
 * ```
 */
export interface ConformanceCase {
  /** A sentence, unique in the suite. */
  readonly name: string
  /** The reason why the case does not apply to this store. If set, `run` does nothing. */
  readonly notApplicable?: string
  /**
   * Opens a database, runs the case on it and closes it.
   *
   * Rejects with an error that has `expected` and `actual`.
   */
  run(): Promise<void>
}

/**
 * Returns the contract of the store port as cases for any test runner.
 *
 * Opens one database to read the abilities of the store. Cases are independent, so they may run in
 * any order and concurrently. Each takes much less than a minute.
 *
 * @example
 * ```ts
 * import { conformanceCases } from 'cqrs-es/conformance'
 * import { memoryStore } from 'cqrs-es/memory'
 * import { test } from 'vitest'
 *
 * const cases = await conformanceCases({
 *   schema: 'none',
 *   async open() {
 *     const store = memoryStore()
 *     return { store, connect: async () => store, close: async () => {} }
 *   },
 * })
 * for (const c of cases) test.skipIf(c.notApplicable !== undefined)(c.name, c.run)
 * ```
 */
export async function conformanceCases(host: ConformanceHost): Promise<readonly ConformanceCase[]> {
  const given = await ask(host)
  return subjects.flatMap((cases) => Object.entries(cases).map(([name, body]) => toCase(host, given, name, conditional(body))))
}

const subjects: readonly Cases[] = [
  appendCases,
  limitCases,
  repeatCases,
  conflictCases,
  batchCases,
  headCases,
  readCases,
  snapshotCases,
  keyCases,
  viewCases,
  findCases,
  generationCases,
  instanceCases,
  feedCases,
  feedRaceCases,
  changeCases,
  checkpointCases,
  transactionCases,
  leaseCases,
  consumerCases,
  dataCases,
  nameCases,
  corruptionCases,
  schemaCases,
  watchCases,
]

async function ask(host: ConformanceHost): Promise<Given> {
  const database = await host.open({ schema: true })
  try {
    const lease = await database.store.acquireLease({ name: 'suite', holder: 'suite', ttlMs: 1_000 })
    return {
      capabilities: database.store.capabilities,
      transacts: database.store.transact !== undefined,
      schema: host.schema,
      tellsChanges: database.store.readChanges !== undefined,
      readsConsumers: database.store.readConsumers !== undefined,
      leasesHaveCheckpoints: lease.acquired && lease.checkpoint !== undefined,
      corruptsEvents: database.corruptEvent !== undefined,
      corruptsSnapshots: database.corruptSnapshot !== undefined,
      losesEvents: database.loseEvents !== undefined,
    }
  } finally {
    await database.close()
  }
}

const conditional = (body: Body | ConditionalCase): ConditionalCase =>
  typeof body === 'function' ? { requirements: [], body, schema: true } : body

function toCase(
  host: ConformanceHost,
  given: Given,
  name: string,
  { requirements, body, schema }: ConditionalCase,
): ConformanceCase {
  const notApplicable = requirements.map((requirement) => requirement(given)).find((reason) => reason !== undefined)
  if (notApplicable !== undefined) return { name, notApplicable, run: async () => {} }
  const run = async () => {
    const database = await host.open({ schema })
    try {
      await body(database)
    } finally {
      await database.close()
    }
  }
  return { name, run }
}
