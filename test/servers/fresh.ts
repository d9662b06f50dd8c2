import mysql from 'mysql2/promise'
import pg from 'pg'
import { serverUrl } from './ask.ts'
import type { ServerName } from './setup.ts'

let made = 0

/**
 * Address of a new, empty database on the server of this test run; of the server itself if it has
 * no databases.
 */
export async function freshDatabase(server: ServerName): Promise<string> {
  const url = await serverUrl(server)
  if (server === 'dynamodb' || server === 'dynamodb-local') return url
  const name = `fresh_${process.pid}_${++made}`
  if (server === 'postgres') {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    await client.query(`CREATE DATABASE ${name}`)
    await client.end()
  } else {
    const connection = await mysql.createConnection(url)
    await connection.query(`CREATE DATABASE ${name}`)
    await connection.end()
  }
  return Object.assign(new URL(url), { pathname: `/${name}` }).toString()
}
