import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

export const parityPage = `${root}docs/reference/rust-parity.md`

/** A row of the parity page, as it stands there. */
export interface ParityRow {
  readonly row: number
  readonly feature: string
  readonly tests: readonly string[]
  readonly broken: string
}

/** The cells of the page's table. */
export const parityRows = (page = readFileSync(parityPage, 'utf8')): readonly ParityRow[] =>
  page.split('\n').flatMap((line) => {
    const [, row, feature = '', tests = '', broken = ''] = /^\| (\d+) \| (.+?) \| (.+?) \| (.*?) ?\|$/.exec(line) ?? []
    return row === undefined ? [] : [{ row: Number(row), feature, tests: tests.split('<br>'), broken }]
  })

/** Titles of the tests in a file, or of the cases in a file of the conformance suite, as they are written there. */
export function testsIn(file: string): readonly string[] {
  const text = readFileSync(`${root}${file}`, 'utf8')
  const written = /(['"`])((?:\\.|(?!\1)[^\\])*)\1/.source
  const named = file.startsWith('src/conformance/')
    ? new RegExp(`^ {2}${written}: `, 'gm')
    : new RegExp(`\\b(?:test|it)(?:\\.(?:skipIf|each)[^\\n]*|[^\\n(]*)\\(\\s*${written},`, 'g')
  const inTables = /^\s*\]?(?: as const)?\)\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1,/gm
  return [...text.matchAll(named), ...text.matchAll(inTables)].map(([, , name = '']) => name.replace(/\\(['"`])/g, '$1'))
}
