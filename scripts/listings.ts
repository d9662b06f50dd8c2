/** Copies the files that pages show into their fences: `npm run docs:listings`. A test compares them. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { withListings } from '../test/docs/listings.ts'
import { pagesBelow } from '../test/docs/snippets.ts'
import { root } from '../test/run.ts'

for (const page of pagesBelow(root, 'docs')) {
  const text = readFileSync(join(root, page), 'utf8')
  const next = withListings(root, page, text)
  if (next === text) continue
  writeFileSync(join(root, page), next)
  console.log(`${page} shows its files as they are now.`)
}
