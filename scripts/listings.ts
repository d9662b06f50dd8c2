/** Copies the files that pages show into their fences: `npm run docs:listings`. A test compares them. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { withListings } from '../test/docs/listings.ts'
import { root } from '../test/run.ts'

for (const file of readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })) {
  if (!file.endsWith('.md')) continue
  const page = join('docs', file)
  const text = readFileSync(join(root, page), 'utf8')
  const next = withListings(root, page, text)
  if (next === text) continue
  writeFileSync(join(root, page), next)
  console.log(`${page} shows its files as they are now.`)
}
