import { readFileSync } from 'node:fs'
import { mysqlStore } from 'cqrs-es/mysql'
import { postgresStore } from 'cqrs-es/postgres'
import { sqliteStore } from 'cqrs-es/sqlite'
import { expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
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

test('the README has a row for each store that the package exports, with its page and its import', () => {
  const readme = readFileSync(`${root}README.md`, 'utf8')
  const stores = Object.keys(packageJson.exports).filter((subpath) =>
    /^\.\/(memory|sqlite|postgres|mysql|dynamodb)$/.test(subpath),
  )
  expect(stores.length).toBe(5)
  for (const store of stores.map((subpath) => subpath.slice(2)))
    expect(readme).toMatch(
      new RegExp(`^\\| \\[[^\\]]+\\]\\(docs/reference/stores/${store}\\.md\\) \\| \`cqrs-es/${store}\` \\|`, 'm'),
    )
})
