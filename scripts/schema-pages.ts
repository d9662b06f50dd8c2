/**
 * Writes the SQL of each SQL store's `printSchema()` into its schema page: `npm run schemas`. The prose around it is the
 * page's own. test/docs/schemas.test.ts fails until this has run after a change of a schema.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { schemaPages, withSchema } from '../test/docs/schemas.ts'
import { root } from '../test/run.ts'

for (const [page, schema] of Object.entries(schemaPages)) {
  const text = await readFile(`${root}${page}`, 'utf8')
  await writeFile(`${root}${page}`, withSchema(text, schema))
}
