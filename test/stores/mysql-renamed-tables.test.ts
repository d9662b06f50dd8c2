import { type MysqlStoreOptions, mysqlStore } from 'cqrs-es/mysql'
import { afterAll, describe, expect, test } from 'vitest'
import { mysqlServers, newDatabase, noMysql } from './mysql-database.ts'
import { use } from './use-tables.ts'

const closing: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closing.reverse()) await close()
})

describe.skipIf(noMysql).each(mysqlServers)('createSchema() on $name', ({ server }) => {
  const tables = [
    'snapshots',
    'idempotencyKeys',
    'views',
    'viewIndexes',
    'viewGenerations',
    'checkpoints',
    'leases',
    'schemaVersion',
  ]

  test.each(tables)('createSchema() adds what is missing when tables.%s is changed', async (table) => {
    const database = await newDatabase(server)
    closing.push(() => database.close())
    const store = mysqlStore(database.pool())
    await store.createSchema()
    await use(store, 'a')
    const renamed = mysqlStore(database.pool(), { tables: { [table]: 'renamed' } as MysqlStoreOptions['tables'] & {} })
    await renamed.createSchema()
    await use(renamed, 'b')
    await use(store, 'c')
    expect((await renamed.readFeed({ limit: 9 })).events.map(({ aggregateId }) => aggregateId)).toEqual(['a', 'b', 'c'])
  })

  test('createSchema() continues after the last event when tables.sequencer is changed', async () => {
    const database = await newDatabase(server)
    closing.push(() => database.close())
    const store = mysqlStore(database.pool())
    await store.createSchema()
    await use(store, 'a')
    const renamed = mysqlStore(database.pool(), { tables: { sequencer: 'renamed' } })
    await renamed.createSchema()
    await use(renamed, 'b')
    expect((await renamed.readFeed({ limit: 9 })).events.map(({ position }) => position)).toEqual(['1', '2'])
  })
})
