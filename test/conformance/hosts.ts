import type { ConformanceHost } from 'cqrs-es/conformance'
import pg from 'pg'
import { serverUrl } from '../servers/ask.ts'
import { type StoreName, unselected } from '../servers/stores.ts'
import { drivers } from '../stores/sqlite-drivers.ts'
import { dynamoDbHost } from './dynamodb-host.ts'
import { mysqlHost } from './mysql-host.ts'
import { postgresHost } from './postgres-host.ts'
import { sqliteHost } from './sqlite-host.ts'

export interface Database {
  readonly name: string
  readonly skipped: boolean
  readonly host: ConformanceHost
}

/** Opens its pools with the first case. */
const onPostgres: ConformanceHost = {
  schema: 'required',
  async open(options) {
    const connectionString = await serverUrl('postgres')
    const pools = [new pg.Pool({ connectionString, max: 4 }), new pg.Pool({ connectionString, max: 4 })] as const
    const database = await postgresHost(...pools).open(options)
    const close = async () => {
      await database.close()
      await Promise.all(pools.map((pool) => pool.end()))
    }
    return { ...database, close }
  },
}

const database = (store: StoreName, name: string, host: ConformanceHost): Database => ({ name, skipped: unselected(store), host })

/** Each database once, for the stories that must be true on every one. */
export const databases: readonly Database[] = [
  ...drivers.map((driver) => database('sqlite', `SQLite through ${driver.name}`, sqliteHost(driver))),
  database('postgres', 'Postgres', onPostgres),
  database('mariadb', 'MariaDB', mysqlHost('mariadb', 'mysql2')),
  database('mysql', 'MySQL', mysqlHost('mysql', 'mariadb')),
  database('dynamodb', 'DynamoDB', dynamoDbHost),
]
