import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from '../run.ts'
import { type Line, linesOf, listingsOf } from './listings.ts'

const chapters = readdirSync(join(root, 'examples/tutorial'))
  .filter((name) => /^\d\d-/.test(name))
  .sort()

describe.each(chapters.map((chapter, i) => [chapter, chapters[i - 1]]))('chapter %s of the tutorial', (chapter, last) => {
  const page = `docs/tutorial/${chapter}.md`
  const text = read(page)

  test('the page shows each new file, and each changed line of the program', () => {
    const hidden = modulesOf(chapter).flatMap((file) => {
      const before = (last !== undefined && linesIn(last, file)) || []
      if (before.length > 0 && file.endsWith('.test.ts')) return []
      const shown = new Set(
        listingsOf(page, text)
          .filter((listing) => listing.file === pathOf(chapter, file))
          .flatMap(({ region }) => linesOf(read(pathOf(chapter, file)), region) ?? [])
          .map(({ line }) => line),
      )
      return changed(before, linesIn(chapter, file) ?? [])
        .filter(({ line }) => !shown.has(line))
        .map(({ line, text }) => `${pathOf(chapter, file)}:${line} ${text}`)
    })
    expect(hidden).toEqual([])
  })

  test('the page names each deleted file', () => {
    const deleted = last === undefined ? [] : modulesOf(last).filter((file) => linesIn(chapter, file) === undefined)
    expect(deleted.filter((file) => !text.includes(`Delete \`${file}\``))).toEqual([])
  })

  test('the page has at most 900 words outside of code', () => {
    const prose = text.replace(/^```[\s\S]*?^```$/gm, '').replace(/\]\([^)]*\)/g, ']')
    expect(prose.split(/\s+/).filter((word) => /\w/.test(word)).length).toBeLessThanOrEqual(900)
  })

  test('the program imports nothing from other chapters', () => {
    expect(modulesOf(chapter).filter((file) => read(pathOf(chapter, file)).includes("from '../"))).toEqual([])
  })
})

describe('changed', () => {
  const lines = (...texts: readonly string[]) => texts.map((text, i) => ({ line: i + 1, text }))

  test('a line outside of the longest common part is changed', () => {
    const before = lines('a', 'b', 'c', 'd')
    expect(changed(before, lines('a', 'x', 'c', '', 'y', 'd')).map(({ text }) => text)).toEqual(['x', 'y'])
    expect(changed(before, before)).toEqual([])
  })

  test('the line after a deleted one is changed, so that the page shows its place', () => {
    expect(changed(lines('a', 'b', 'c'), lines('a', 'c')).map(({ text }) => text)).toEqual(['c'])
    expect(changed(lines('a', 'b'), lines('a')).map(({ text }) => text)).toEqual(['a'])
  })
})

/** The lines of `after` that are not in `before`, and those next to deleted lines. Empty lines do not count. */
function changed(before: readonly Line[], after: readonly Line[]): readonly Line[] {
  const kept = common(
    before.map(({ text }) => text),
    after.map(({ text }) => text),
  )
  const isDeleted = (from: number, to: number) => before.slice(from, to).some(({ text }) => text !== '')
  let next = 0
  const lines = after.filter((_, i) => {
    const old = kept.get(i)
    if (old === undefined) return true
    const isAfterChanged = i > 0 && !kept.has(i - 1)
    const isAfterDeleted = !isAfterChanged && isDeleted(next, old)
    next = old + 1
    return isAfterDeleted
  })
  const end = after.at(-1)
  const all = end !== undefined && isDeleted(next, before.length) && !lines.includes(end) ? [...lines, end] : lines
  return all.filter(({ text }) => text.trim() !== '')
}

/** Of each line that both have in one order, its index in `after` and in `before`. */
function common(before: readonly string[], after: readonly string[]): ReadonlyMap<number, number> {
  const longest = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0))
  const at = (i: number, j: number) => longest[i]?.[j] ?? 0
  for (let i = before.length - 1; i >= 0; i--)
    for (let j = after.length - 1; j >= 0; j--)
      (longest[i] as number[])[j] = before[i] === after[j] ? 1 + at(i + 1, j + 1) : Math.max(at(i + 1, j), at(i, j + 1))
  const pairs = new Map<number, number>()
  for (let i = 0, j = 0; i < before.length && j < after.length; ) {
    if (before[i] === after[j]) pairs.set(j++, i++)
    else if (at(i + 1, j) >= at(i, j + 1)) i++
    else j++
  }
  return pairs
}

function modulesOf(chapter: string): readonly string[] {
  return readdirSync(join(root, 'examples/tutorial', chapter)).filter((file) => file.endsWith('.ts'))
}

function linesIn(chapter: string, file: string): readonly Line[] | undefined {
  return existsSync(join(root, pathOf(chapter, file))) ? linesOf(read(pathOf(chapter, file))) : undefined
}

function pathOf(chapter: string, file: string): string {
  return `examples/tutorial/${chapter}/${file}`
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}
