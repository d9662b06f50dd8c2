/**
 * Writes the SQL of each SQL store's `printSchema()` into its schema page: `npm run schemas`. The
 * text around it is written by hand. After a change of a schema, test/docs/schemas.test.ts fails
 * until this has run.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { schemaPages, withSchema } from '../test/docs/schemas.ts'
import { root } from '../test/run.ts'

for (const [page, schema] of Object.entries(schemaPages)) {
  const text = await readFile(`${root}${page}`, 'utf8')
  await writeFile(`${root}${page}`, withSchema(text, schema))
}
