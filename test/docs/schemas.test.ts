import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { root } from '../run.ts'
import { schemaPages, withSchema } from './schemas.ts'

const read = (page: string) => readFileSync(`${root}${page}`, 'utf8')

test.each(Object.entries(schemaPages))('%s shows the schema as printSchema() prints it', (page, schema) => {
  expect(withSchema(read(page), schema), 'run `npm run schemas`').toBe(read(page))
})

test('a schema page needs exactly one sql fence', () => {
  expect(withSchema('a\n```sql\nold\n```\nb\n', 'new')).toBe('a\n```sql\nnew\n```\nb\n')
  expect(() => withSchema('a\n', 'new')).toThrow('one sql fence')
  expect(() => withSchema('```sql\n```\n```sql\n```\n', 'new')).toThrow('one sql fence')
})

test('the README has a row for each store that the package exports, with its page and its import', () => {
  const readme = read('README.md')
  const stores = Object.keys(packageJson.exports).filter((subpath) =>
    /^\.\/(memory|sqlite|postgres|mysql|dynamodb)$/.test(subpath),
  )
  expect(stores.length).toBe(5)
  for (const store of stores.map((subpath) => subpath.slice(2)))
    expect(readme).toMatch(
      new RegExp(`^\\| \\[[^\\]]+\\]\\(docs/reference/stores/${store}\\.md\\) \\| \`cqrs-es/${store}\` \\|`, 'm'),
    )
})
