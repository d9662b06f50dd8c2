import type { Store } from '../store/store.ts'
import { deposit, range, view, viewKey } from './build.ts'
import { type Cases, withoutSchema } from './case.ts'
import { equal, failed, holds, rejects, send, stores } from './check.ts'
import { readView, sequences } from './read.ts'

export const schemaCases: Cases = {
  'every read without a schema rejects with SCHEMA_MISSING': withoutSchema(async ({ store }) => {
    for (const [name, read] of Object.entries(reads(store))) await rejects(name, 'SCHEMA_MISSING', read)
  }),

  'an append without a schema fails with SCHEMA_MISSING': withoutSchema(async ({ store }) => {
    const outcomes = await store.append([deposit('a', 0), deposit('b', 0, 2, { views: [view('row', 0, {})] })])
    equal('number of outcomes', outcomes.length, 2)
    for (const outcome of outcomes) failed(outcome, 'SCHEMA_MISSING')
    equal('an empty batch', await store.append([]), [])
  }),

  'a store that met a missing schema works once the schema exists': withoutSchema(async (database) => {
    const { store } = database
    failed(await send(store, deposit('a', 0)), 'SCHEMA_MISSING')
    await (await database.connect()).createSchema()
    await stores(store, deposit('a', 0, 2))
    equal('sequences', await sequences(store, 'a'), [1, 2])
  }),

  'ten concurrent createSchema() calls over several connections make a complete schema': withoutSchema(async (database) => {
    const connections = [database.store, await database.connect(), await database.connect()]
    await Promise.all(range(10).map((i) => (connections[i % 3] as Store).createSchema()))
    for (const [i, store] of connections.entries()) await stores(store, deposit('a', i, 1, { views: [view('row', i, i)] }))
    for (const read of Object.values(reads(database.store))) await read()
  }),

  'createSchema() keeps stored data when it runs again': async (database) => {
    await stores(database.store, deposit('a', 0, 2, { views: [view('row', 0, 'kept')] }))
    await database.store.createSchema()
    await (await database.connect()).createSchema()
    equal('sequences', await sequences(database.store, 'a'), [1, 2])
    equal('view', (await readView(database.store, 'row'))?.view, 'kept')
    await stores(database.store, deposit('a', 2))
  },

  'printSchema() always prints the same text and does not use the database': async (database) => {
    const printed = database.store.printSchema()
    equal('type', typeof printed, 'string')
    await database.store.createSchema()
    equal('printed again', database.store.printSchema(), printed)
    equal('printed by another', (await database.connect()).printSchema(), printed)
  },

  'printSchema() is not empty on a store that needs a schema': withoutSchema(async ({ store }) => {
    holds('there is text', store.printSchema().trim().length > 0)
    await rejects('a read afterwards', 'SCHEMA_MISSING', () => store.readIds({ aggregateType: 'account', limit: 1 }))
  }),
}

function reads(store: Store): Record<string, () => Promise<unknown>> {
  const name = 'balances'
  return {
    readAggregate: () =>
      store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0, snapshot: { stateVersion: '1' } }),
    readIds: () => store.readIds({ aggregateType: 'account', limit: 1 }),
    readKey: () => store.readKey({ aggregateType: 'account', aggregateId: 'a', idempotencyKey: 'k' }),
    readViews: () => store.readViews([viewKey('row')]),
    findViews: () => store.findViews({ name, generation: 1, where: [{ index: 'n', is: '=', value: '0' }], limit: 1 }),
    viewGenerations: () => store.viewGenerations(name),
    addViewGeneration: () => store.addViewGeneration({ name, generation: 2, viewVersion: '2' }),
    switchViewGeneration: () => store.switchViewGeneration({ name, from: 1, to: 2 }),
    removeViewGeneration: () => store.removeViewGeneration({ name, generation: 1 }),
    readCheckpoint: () => store.readCheckpoint(name),
    ...(store.readConsumers && { readConsumers: async () => store.readConsumers?.([name]) }),
    acquireLease: () => store.acquireLease({ name, holder: 'one', ttlMs: 1_000 }),
    renewLease: () => store.renewLease({ name, fence: 1, ttlMs: 1_000 }),
    releaseLease: () => store.releaseLease({ name, fence: 1 }),
    ...(store.capabilities.globalOrder && {
      readFeed: () => store.readFeed({ limit: 1 }),
      lastPosition: () => store.lastPosition(),
    }),
  }
}
