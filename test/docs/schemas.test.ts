import { readFileSync } from 'node:fs'
import { mysqlStore } from 'cqrs-es/mysql'
import { postgresStore } from 'cqrs-es/postgres'
import { sqliteStore } from 'cqrs-es/sqlite'
import { expect, test } from 'vitest'
import { root } from '../run.ts'

const printed = {
  sqlite: () => sqliteStore({ exec: () => {}, prepare: () => ({}) as never }).printSchema(),
  mysql: () => mysqlStore({ execute: async () => [], getConnection: async () => ({}) as never }).printSchema(),
  postgres: () => postgresStore({ query: async () => ({ rows: [] }) }).printSchema(),
}

test.each(Object.keys(printed) as (keyof typeof printed)[])(
  'docs/reference/stores/%s.md shows the schema as it is printed',
  (store) => {
    const page = readFileSync(`${root}docs/reference/stores/${store}.md`, 'utf8')
    const [, schema] = /## The schema\n.*?```(?:sql|json)\n(.*?)\n?```/s.exec(page) ?? []
    expect(schema?.trim()).toBe(printed[store]().trim())
  },
)
