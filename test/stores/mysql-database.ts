import * as mariadb from 'mariadb'
import mysql from 'mysql2/promise'
import { serverUrl } from '../servers/ask.ts'
import { unselected } from '../servers/stores.ts'
import { everySecond } from '../strength.ts'

const servers = [
  { server: 'mariadb', name: 'MariaDB' },
  { server: 'mysql', name: 'MySQL' },
] as const

/** The servers that the tests of the MySQL store run on: `describe.skipIf(noMysql).each(mysqlServers)`. */
export const mysqlServers = servers.filter(({ server }) => !unselected(server))

export const noMysql = mysqlServers.length === 0

/** By day each server meets every second case, where both are tested. */
export const shareOf = <T>(server: MysqlServerName, cases: readonly T[]): readonly T[] =>
  mysqlServers.length < servers.length ? cases : everySecond(cases, server === 'mariadb' ? 0 : 1)

export type MysqlServerName = (typeof servers)[number]['server']

/** A database of its own. */
export interface TestMysql {
  readonly name: string
  readonly url: string
  /** A pool as a user would make it; closed with the database. */
  pool(options?: mysql.PoolOptions): mysql.Pool
  mariadbPool(options?: mariadb.PoolConfig): mariadb.Pool
  /** Runs SQL as the one who owns the database, and gives the rows. */
  sql(text: string, ...values: readonly unknown[]): Promise<Record<string, unknown>[]>
  closePools(): Promise<void>
  close(): Promise<void>
}

let databases = 0

/** On a server of the tests, or at an address. */
export async function newDatabase(server: MysqlServerName | `mysql:${string}`, rest = ''): Promise<TestMysql> {
  const name = `cqrs_es_${process.pid}_${Date.now().toString(36)}_${++databases}`
  const url = new URL(server === 'mysql' || server === 'mariadb' ? await serverUrl(server) : server)
  const { hostname, port, username, password } = url
  const to = {
    host: hostname,
    port: Number(port || 3306),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
  }
  const owner = await mysql.createConnection({ ...to, multipleStatements: true })
  await owner.query(`CREATE DATABASE ${name} ${rest}`)
  await owner.query(`USE ${name}`)
  const open: { end(): Promise<void> }[] = []
  const closePools = async () => {
    await Promise.all(open.splice(0).map((pool) => pool.end()))
  }
  url.pathname = `/${name}`
  return {
    name,
    url: url.href,
    pool(options = {}) {
      const pool = mysql.createPool({ ...to, database: name, connectionLimit: 4, ...options })
      open.push(pool)
      return pool
    },
    mariadbPool(options = {}) {
      const pool = mariadb.createPool({ ...to, database: name, connectionLimit: 4, allowPublicKeyRetrieval: true, ...options })
      open.push(pool)
      return pool
    },
    async sql(text, ...values) {
      const [rows] = values.length > 0 ? await owner.execute(text, [...values] as string[]) : await owner.query(text)
      return rows as Record<string, unknown>[]
    },
    closePools,
    async close() {
      await closePools()
      await owner.query(`DROP DATABASE IF EXISTS ${name}`)
      await owner.end()
    },
  }
}
