import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { readModules } from '../architecture/modules.ts'
import { root } from '../run.ts'
import { checkSnippets, type Verdict } from './check.ts'
import { bareExamples, docComments, readSnippets, type Snippet, snippetsOf } from './snippets.ts'

describe('the snippets of README, docs and doc comments', () => {
  const snippets = readSnippets(root)
  let verdicts: ReadonlyMap<Snippet, Verdict>
  beforeAll(async () => {
    verdicts = await checkSnippets(snippets, join(root, 'test/docs/.snippets'))
  })

  test.each(snippets.map((snippet) => [`${snippet.page}:${snippet.line}`, snippet] as const))('%s', (_, snippet) => {
    expect(verdicts.get(snippet)).toBe('')
  })

  test('every @example is a snippet', () => {
    const bare = readModules(join(root, 'src')).flatMap(({ path }) =>
      bareExamples(readFileSync(join(root, 'src', path), 'utf8')).map((line) => `src/${path}:${line}`),
    )
    expect(bare).toEqual([])
  })
})

describe('finding snippets', () => {
  test('snippets are found at their line', () => {
    const [first, second, ...others] = snippetsOf(
      'a.md',
      page('Text', '```ts', 'one()', '```', '```sh', 'ls', '```', '```ts no-run', 'two()', '```'),
    )
    expect(first).toEqual({ page: 'a.md', line: 2, code: '\n\none()\n', run: true })
    expect(second).toEqual({ page: 'a.md', line: 8, code: '\n\n\n\n\n\n\n\ntwo()\n', run: false })
    expect(others).toEqual([])
  })

  test('snippets continue where they say so', () => {
    const text = page(
      '```ts',
      'one()',
      '```',
      '<!-- continues -->',
      '',
      '```ts',
      'two()',
      '```',
      '<!-- continues -->',
      'Text',
      '```ts',
      'three()',
      '```',
    )
    expect(snippetsOf('a.md', text).map(({ code }) => code.trim())).toEqual(['one()\n\n\n\n\ntwo()', 'three()'])
    expect(() => snippetsOf('a.md', page('<!-- continues -->', '```ts', '```'))).toThrow('a.md:2 continues nothing')
  })

  test('snippets in lists and in longer fences are found', () => {
    const text = page('- item', '  ```ts', '  if (a) {', '    b()', '  }', '  ```', '````ts', '```', '````')
    expect(snippetsOf('a.md', text).map(({ code }) => code.trim())).toEqual(['if (a) {\n  b()\n}', '```'])
  })

  test('without the listings of files, which have tests of their own', () => {
    const text = page('```ts', 'one()', '```', '<!-- from a.ts#b -->', '```ts', 'two()', '```', '```ts', 'three()', '```')
    expect(snippetsOf('a.md', text).map(({ code }) => code.trim())).toEqual(['one()', 'three()'])
  })

  test('snippets in doc comments are found', () => {
    const text = page(
      '/** One. */',
      'const s = "```ts"',
      '/**',
      ' * Adds.',
      ' * @example',
      ' * ```ts',
      ' * add(1)',
      ' * ```',
      ' */',
    )
    expect(snippetsOf('a.ts', docComments(text))).toEqual([{ page: 'a.ts', line: 6, code: '\n\n\n\n\n\nadd(1)\n', run: true }])
    expect(bareExamples(text)).toEqual([])
    expect(bareExamples(page('/**', ' * @example add(1)', ' */'))).toEqual([2])
  })
})

describe('a wrong snippet', () => {
  test('a wrong snippet is reported by its page and line', async () => {
    const text = page(
      ...['```ts', "export const a: number = 'a'", '```'],
      ...['```ts', "throw new Error('oh')", '```'],
      ...['```ts no-run', "throw new Error('oh')", '```'],
      ...['```ts', "import { test } from 'vitest'", "test('a', () => { throw new Error('oh') })", '```'],
      ...['```ts', "import test from 'node:test'", "test('a', () => { throw new Error('oh') })", '```'],
      ...[
        '```ts',
        "import { eventId } from 'cqrs-es/store'",
        "if (eventId('a', 'b', 1) !== 'a/b/1') throw new Error('no')",
        '```',
      ],
      ...['```ts', "import { expect, test } from 'vitest'", "test('a', () => expect(1).toBe(1))", '```'],
    )
    const snippets = snippetsOf('docs/sample.md', text)
    const verdicts = await checkSnippets(snippets, join(root, 'test/docs/.wrong-snippets'))
    const [type, thrown, compiled, vitest, nodeTest, ...fine] = snippets.map((snippet) => verdicts.get(snippet))
    expect(type).toContain('docs/sample.md:2:14: error TS2322')
    expect(thrown).toMatch(/docs\/sample\.md:5(:|\n)/)
    expect(compiled).toBe('')
    expect(vitest).toMatch(/docs\/sample\.md:12:/)
    expect(nodeTest).toMatch(/docs\/sample\.md:16:/)
    expect(fine).toEqual(['', ''])
  })
})

function page(...lines: readonly string[]): string {
  return lines.join('\n')
}
