import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize, sep } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from '../run.ts'
import { pagesBelow } from './snippets.ts'

interface Link {
  readonly line: number
  readonly text: string
  readonly target: string
}

describe('the links of all pages', () => {
  test.each(pages())('%s', (page) => {
    expect(linksOf(read(page)).flatMap((link) => problemOf(page, link) ?? [])).toEqual([])
  })
})

describe('the checks of links', () => {
  test('links outside of code are found', () => {
    const page = ['[a](b.md)', '```', '[c](d.md)', '```', '`[e](f.md)` [`g`](h.md#i) ![j](k.png)'].join('\n')
    expect(linksOf(page)).toEqual([
      { line: 1, text: 'a', target: 'b.md' },
      { line: 5, text: '`g`', target: 'h.md#i' },
      { line: 5, text: 'j', target: 'k.png' },
    ])
  })

  test('anchors of a page are found', () => {
    const page = ['# One two', '## `three`: four, five!', '## One two', '```', '# no', '```'].join('\n')
    expect(anchorsOf(page)).toEqual(new Set(['one-two', 'three-four-five', 'one-two-1']))
  })

  test.each([
    ['gone.md', 'no such file'],
    ['README.md#gone', 'no such heading'],
    ['../outside.md', 'leaves the repository'],
    ['https://github.com/cqrs-es/cqrs-es-ts/blob/main/docs/gone.md', 'no such file'],
    ['test/docs/links.test.ts', 'no test of that name'],
  ])('%s is a broken link', (target, problem) => {
    const text = 'a title that is only' + ' here'
    expect(problemOf('README.md', { line: 7, text, target })).toBe(`README.md:7 links to ${target}: ${problem}`)
  })
})

/** All pages but those that are installed. */
function pages(): string[] {
  const nested = ['create', 'docs', 'examples', 'bench', 'test', '.github'].flatMap((folder) => pagesBelow(root, folder))
  return [...readdirSync(root).filter((file) => file.endsWith('.md')), ...nested].sort()
}

/** Pages that are read elsewhere link to this repository so. */
const onGitHub = 'https://github.com/cqrs-es/cqrs-es-ts/blob/main/'

/** What is wrong with a link, `undefined` when it leads somewhere. A link to a test names one by its text. */
function problemOf(page: string, { line, text, target }: Link): string | undefined {
  const isOnGitHub = target.startsWith(onGitHub)
  if (!isOnGitHub && /^[a-z]+:/.test(target)) return undefined
  const [path = '', anchor] = target.replace(onGitHub, '').split('#')
  const file =
    path === ''
      ? page
      : normalize(join(isOnGitHub ? '' : dirname(page), path))
          .split(sep)
          .join('/')
  const fault = (problem: string) => `${page}:${line} links to ${target}: ${problem}`
  if (file.startsWith('..')) return fault('leaves the repository')
  if (!existsSync(join(root, file))) return fault('no such file')
  if (anchor !== undefined && !anchorsOf(read(file)).has(anchor)) return fault('no such heading')
  if (isTest(file) && !text.startsWith('`') && !titles(read(file)).includes(plain(text))) return fault('no test of that name')
  return undefined
}

const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const isTest = (file: string): boolean =>
  statSync(join(root, file)).isFile() && /^(test\/.*\.test|src\/conformance\/.*)\.ts$/.test(file)
/** Quotes and backticks apart, as they may be written in more than one way. */
const plain = (text: string): string => text.replace(/[`'"\\]/g, '')
const titles = (source: string): string => plain(source)

function linksOf(markdown: string): Link[] {
  return textLines(markdown).flatMap(({ line, text }) =>
    [...withoutCode(text).matchAll(/\[((?:[^\][]|\[[^\]]*\])*)\]\(([^()\s]+)\)/g)].map(([, label = '', target = '']) => ({
      line,
      text: label,
      target,
    })),
  )
}

/** Without the code that holds a whole link; code inside of a link's text stays. */
const withoutCode = (text: string): string => text.replace(/`[^`]*\]\([^`]*`/g, '')

/** As GitHub makes them. */
function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>()
  for (const { text } of textLines(markdown)) {
    const heading = /^#{1,6}\s+(.*?)\s*$/.exec(text)?.[1]
    if (heading === undefined) continue
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, '')
      .replaceAll(' ', '-')
    let anchor = slug
    for (let i = 1; anchors.has(anchor); i++) anchor = `${slug}-${i}`
    anchors.add(anchor)
  }
  return anchors
}

/** The lines outside of fences. */
function textLines(markdown: string): { readonly line: number; readonly text: string }[] {
  let fence: string | undefined
  return markdown.split(/\r?\n/).flatMap((text, i) => {
    const mark = /^\s*(`{3,}|~{3,})/.exec(text)?.[1]
    if (fence !== undefined) {
      if (mark?.startsWith(fence) && text.trim() === mark) fence = undefined
      return []
    }
    if (mark !== undefined) {
      fence = mark
      return []
    }
    return [{ line: i + 1, text }]
  })
}
