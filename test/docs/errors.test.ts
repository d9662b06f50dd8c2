import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from '../run.ts'

interface Row {
  readonly code: string
  readonly className: string
  readonly status: string
}

describe('the table of docs/reference/errors.md', () => {
  const source = readFileSync(join(root, 'src/errors.ts'), 'utf8')
  const rows = tableRows(readFileSync(join(root, 'docs/reference/errors.md'), 'utf8'))

  test('the table of errors has exactly the codes of src/errors.ts, each once', () => {
    expect(rows.map(({ code }) => code).sort()).toEqual(codesOf(source).sort())
  })

  test('the table of errors names the class and the HTTP status of each code', () => {
    const declared = [...classCodes(source), ...storeCodes(source)]
    expect([...rows].sort(byCode)).toEqual(declared.sort(byCode))
  })
})

const byCode = (a: Row, b: Row): number => (a.code < b.code ? -1 : 1)

function tableRows(page: string): Row[] {
  return [...page.matchAll(/^\| `([A-Z_]+)` \| `(\w+)` \|.*\| (\d*) ?\|$/gm)].map(
    ([, code = '', className = '', status = '']) => ({
      code,
      className,
      status,
    }),
  )
}

/** The keys of the list that `isCqrsError` looks in, which the compiler keeps equal to `CqrsErrorCode`. */
function codesOf(source: string): string[] {
  const list = /const codes: [^{]*\{([^}]*)\}/.exec(source)?.[1] ?? ''
  return [...list.matchAll(/^\s*([A-Z_]+): true/gm)].map(([, code = '']) => code)
}

/** Classes with a code of their own; the status is in the Handling line of their doc comment. */
function classCodes(source: string): Row[] {
  return [...source.matchAll(/\/\*\*((?:(?!\*\/).)*)\*\/\nexport class (\w+) [^{]*\{(?:(?!\n\}).)*?super\('([A-Z_]+)'/gs)].map(
    ([, comment = '', className = '', code = '']) => ({
      code,
      className,
      status: /HTTP\s+(?:\*\s+)?(\d+)/.exec(comment)?.[1] ?? '',
    }),
  )
}

/** The Handling line of `StoreError`: lists of codes, each with its status in brackets or behind it. */
function storeCodes(source: string): Row[] {
  const handling = /\*Handling\*: by `code`\.([^/]*)\*\/\nexport class StoreError/.exec(source)?.[1] ?? ''
  const clauses = handling.replace(/\n\s*\*/g, ' ').matchAll(/((?:`[A-Z_]+`[,:] ?\s*)+)[^`]*?HTTP (\d+)/g)
  return [...clauses].flatMap(([, names = '', status = '']) =>
    [...names.matchAll(/[A-Z_]+/g)].map(([code]) => ({ code, className: 'StoreError', status })),
  )
}
