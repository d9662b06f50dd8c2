import { expect, test } from 'vitest'
import { FailedAggregates } from '../../src/consumers/failed-aggregates.ts'
import type { LogCheckpoint } from '../../src/consumers/log-checkpoint.ts'
import type { Processor } from '../../src/consumers/processor.ts'
import { saveRows } from '../../src/consumers/rows.ts'
import { memoryStore } from '../../src/memory/index.ts'
import type { StoredEvent } from '../../src/store/commit.ts'
import type { FailedRow } from '../../src/store/internal-rows.ts'
import { processOf } from '../crash/following/simulation.ts'

const everything = { covers: () => true } as unknown as LogCheckpoint
const idsOf = (n: number) => Array.from({ length: n }, (_, i) => `a${i}`)
const rowOf = (aggregateId: string): FailedRow => ({
  consumer: 's',
  aggregateType: 's',
  aggregateId,
  sequence: 1,
  message: 'no',
  attempts: 1,
  failedAt: '2030-01-01T00:00:00.000Z',
  triedAt: '2030-01-01T00:00:00.000Z',
  resumes: 0,
})

test('FailedAggregates keeps only unsaved rows in memory when thousands of aggregates fail', async () => {
  const { core } = processOf(memoryStore(), { name: 's', holder: 'one', leaseMs: 60_000, handle: async () => {} })
  const failed = new FailedAggregates(core, { name: 's' } as Processor, new Set())
  await failed.load(0)
  for (const id of idsOf(2_001)) failed.set({ aggregateType: 's', aggregateId: id }, rowOf(id))
  const unsaved = failed.unsaved(everything)
  expect(await saveRows(core, await unsaved.writes())).toBe('saved')
  const looked = { aggregateType: 's', aggregateId: 'a7' } as StoredEvent
  await failed.lookUp([looked])
  // They are being saved, as far as it was told.
  expect([failed.has('s/a7'), failed.has('s/a8')]).toEqual([true, true])
  unsaved.saved()
  failed.set({ aggregateType: 's', aggregateId: 'new' }, rowOf('new'))
  await failed.lookUp([looked])
  expect([failed.has('s/a7'), failed.has('s/new'), failed.has('s/a8')]).toEqual([true, true, false])
})
