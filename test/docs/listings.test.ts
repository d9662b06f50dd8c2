import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { root } from '../run.ts'
import { listingsOf, withListings } from './listings.ts'
import { pagesBelow } from './snippets.ts'

const pages = pagesBelow(root, 'docs').filter((page) => listingsOf(page, read(page)).length > 0)

describe('the listings of all pages', () => {
  test.each(pages)('%s shows its files as they are (npm run docs:listings)', (page) => {
    expect(read(page)).toBe(withListings(root, page, read(page)))
  })
})

describe('withListings', () => {
  const folder = mkdtempSync(join(tmpdir(), 'listings-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  writeFileSync(
    join(folder, 'a.ts'),
    ['one()', '', '  // #region b', '  two()', '    three()', '  // #endregion b', ''].join('\n'),
  )
  const page = (from: string) => ['Text', `<!-- from ${from} -->`, '```ts', 'old()', '```', 'end'].join('\n')

  test('a listing of a file hides the comments that mark regions', () => {
    const shown = withListings(folder, 'p.md', page('a.ts'))
    expect(shown).toBe(page('a.ts').replace('old()', 'one()\n\n  two()\n    three()'))
  })

  test('a listing of a region removes its indentation', () => {
    expect(withListings(folder, 'p.md', page('a.ts#b'))).toContain('```ts\ntwo()\n  three()\n```\nend')
  })

  test.each([
    ['b.ts', 'p.md:2 shows b.ts: no such file'],
    ['a.ts#c', 'p.md:2 shows a.ts#c: no such region'],
  ])('a listing of %s fails and names page and line', (from, message) => {
    expect(() => withListings(folder, 'p.md', page(from))).toThrow(message)
  })

  test('a listing without a fence fails and names page and line', () => {
    expect(() => listingsOf('p.md', 'Text\n<!-- from a.ts -->\n\n```ts\n```')).toThrow('p.md:2 has no fence')
  })
})

function read(page: string): string {
  return readFileSync(join(root, page), 'utf8')
}
