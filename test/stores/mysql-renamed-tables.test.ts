import { type MysqlStoreOptions, mysqlStore } from 'cqrs-es/mysql'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serverUrl } from '../servers/ask.ts'
import { unselected } from '../servers/stores.ts'
import { newDatabase } from './mysql-database.ts'
import { use } from './use-tables.ts'

const closing: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closing.reverse()) await close()
})

describe.skipIf(unselected('mysql'))('createSchema() of the MySQL store', () => {
  let url: string
  beforeAll(async () => {
    url = await serverUrl('mysql')
  })

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

  test.each(tables)('adds what is missing when the option tables.%s is changed', async (table) => {
    const database = await newDatabase(url)
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

  test('goes on behind the last event when the option tables.sequencer is changed', async () => {
    const database = await newDatabase(url)
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
