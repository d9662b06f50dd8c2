import { createApp } from 'cqrs-es'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unselected } from '../servers/stores.ts'
import { counter } from './crate-counter.ts'
import { type CrateTables, crateTables } from './crate-tables.ts'

describe.each(crateTables)('snapshots beside the Rust crate, on %s:', (name, open) => {
  const skipped = unselected(name)
  const ofCrate = { lastSequence: 1, currentSnapshot: 1, payload: '{"count":2,"value":2}' }
  let tables: CrateTables
  beforeAll(async () => {
    if (skipped) return
    tables = await open()
    const added = { sequence: 1, eventType: 'Added', payload: '{"Added":{"by":1}}' }
    await tables.write([{ id: 'both', ...added }], ofCrate)
    await tables.write([{ id: 'shared', ...added }], ofCrate)
    await tables.store({ payloadFormat: 'serde-enum' }).createSchema()
  })
  afterAll(() => tables?.close())

  it.skipIf(skipped).each(['json', 'serde-enum'] as const)(
    'execute leaves the snapshots of the crate as they are (%s)',
    async (payloadFormat) => {
      const store = tables.store({ payloadFormat })
      const { execute } = createApp({ store, aggregates: { counter } }).aggregates.counter
      const [before] = await tables.snapshots('counter', 'both')
      if (payloadFormat === 'serde-enum') await execute('both', { type: 'Add', data: { by: 3 } })
      await execute(`ours ${payloadFormat}`, { type: 'Add', data: { by: 3 } })
      expect(before).toEqual(ofCrate)
      expect(await tables.snapshots('counter', 'both')).toEqual([ofCrate])
      expect(await tables.snapshots('counter', `ours ${payloadFormat}`)).toEqual([])
    },
  )

  it.skipIf(skipped)('readAggregate reads snapshots of the store, and never those of the crate', async () => {
    const store = tables.store({ payloadFormat: 'serde-enum' })
    const read = (aggregateId: string) =>
      store.readAggregate({ aggregateType: 'counter', aggregateId, after: 0, snapshot: { stateVersion: '1' } })
    expect((await read('shared')).snapshot).toBeUndefined()
    const { execute } = createApp({ store, aggregates: { counter } }).aggregates.counter
    await execute('read', { type: 'Add', data: { by: 3 } })
    expect((await read('read')).snapshot).toMatchObject({ sequence: 1, version: 1, state: { count: 1, value: 3 } })
    expect((await read('read')).events).toEqual([])
  })

  it.skipIf(skipped)('execute replaces the snapshot of the crate when tables.snapshots names its table', async () => {
    const own = await open()
    await own.write([{ id: 'shared', sequence: 1, eventType: 'Added', payload: '{"Added":{"by":1}}' }], ofCrate)
    const shared = own.store({ payloadFormat: 'serde-enum', shareSnapshots: true })
    await shared.createSchema()
    const { execute } = createApp({ store: shared, aggregates: { counter } }).aggregates.counter
    await execute('shared', { type: 'Add', data: { by: 3 } })
    expect(await own.snapshots('counter', 'shared')).toEqual([
      { lastSequence: 2, currentSnapshot: 2, payload: '{"count":2,"value":4}' },
    ])
    await own.close()
  })
})
