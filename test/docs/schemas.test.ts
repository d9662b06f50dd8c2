import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
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
