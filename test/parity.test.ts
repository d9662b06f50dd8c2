import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

const rows = readFileSync(`${root}docs/parity.md`, 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, row, , proof] = /^\| (\d+) \| (.+?) \| (.+) \|$/.exec(line) ?? []
    return row === undefined || proof === undefined ? [] : [{ row: Number(row), proof }]
  })

test('every row of the parity table is there, once and in order', () => {
  expect(rows.map(({ row }) => row)).toEqual(Array.from({ length: 108 }, (_, i) => i + 1))
})

test.each(rows)('row $row: $proof', ({ proof }) => {
  const [file = '', name] = proof.split(' › ')
  expect(name, 'a row names a file and a test: `file › test`').toBeDefined()
  expect(testsIn(file)).toContain(name)
})

test('a table with a wrong name would be found out', () => {
  expect(testsIn('test/parity.test.ts')).toContain('every row of the parity table is there, once and in order')
  expect(testsIn('test/parity.test.ts')).not.toContain('every row')
  expect(testsIn('src/conformance/views.ts')).toContain('a view may be any JSON')
})

/** Names of the tests in a file, or of the cases in a file of the conformance suite, as they are written there. */
function testsIn(file: string): string[] {
  const text = readFileSync(`${root}${file}`, 'utf8')
  const written = /(['"`])((?:\\.|(?!\1)[^\\])*)\1/.source
  const named = file.startsWith('src/conformance/')
    ? new RegExp(`^ {2}${written}: `, 'gm')
    : new RegExp(`\\b(?:test|it)(?:\\.(?:skipIf|each)[^\\n]*|[^\\n(]*)\\(\\s*${written},`, 'g')
  const inTables = /^\s*\]?\)\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1,/gm
  return [...text.matchAll(named), ...text.matchAll(inTables)].map(([, , name = '']) => name.replace(/\\(['"`])/g, '$1'))
}
