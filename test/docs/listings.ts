import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A fence whose text is copied from a file, or from a region of one. */
export interface Listing {
  /** Line of the comment that names the file, from 1. */
  readonly line: number
  /** The file, relative to the root. */
  readonly file: string
  /** All of the file without it. */
  readonly region: string | undefined
  /** Lines of the page that are the code: from this one, up to `end`, both counted from 0. */
  readonly start: number
  readonly end: number
}

const marker = /^<!-- from ([^\s#]+)(?:#(\S+))? -->$/

/** The line that makes the next fence a listing. */
export const isMarker = (line: string): boolean => marker.test(line.trim())

/** The listings of a page. */
export function listingsOf(page: string, markdown: string): readonly Listing[] {
  const lines = markdown.split('\n')
  return lines.flatMap((text, i) => {
    const [, file, region] = marker.exec(text.trim()) ?? []
    if (file === undefined) return []
    const start = i + 2
    if (!/^```\w/.test(lines[i + 1] ?? '')) throw new Error(`${page}:${i + 1} has no fence on the line below`)
    const end = lines.indexOf('```', start)
    if (end < 0) throw new Error(`${page}:${i + 2} does not end`)
    return [{ line: i + 1, file, region, start, end }]
  })
}

/** The page with all its listings as their files have them now. */
export function withListings(root: string, page: string, markdown: string): string {
  const lines = markdown.split('\n')
  for (const { line, file, region, start, end } of [...listingsOf(page, markdown)].reverse()) {
    const at = `${page}:${line} shows ${file}${region === undefined ? '' : `#${region}`}`
    if (!existsSync(join(root, file))) throw new Error(`${at}: no such file`)
    const shown = linesOf(readFileSync(join(root, file), 'utf8'), region)
    if (shown === undefined) throw new Error(`${at}: no such region`)
    lines.splice(start, end - start, ...dedented(shown.map(({ text }) => text)))
  }
  return lines.join('\n')
}

/** A line of a file, counted from 1. */
export interface Line {
  readonly line: number
  readonly text: string
}

/** The lines of a file, or of one of its regions, without the comments that mark regions. */
export function linesOf(source: string, region?: string): readonly Line[] | undefined {
  let isInside = region === undefined
  let isFound = isInside
  const lines: Line[] = []
  for (const [i, text] of source.trimEnd().split('\n').entries()) {
    const [, kind, name] = /^\s*\/\/ #(region|endregion) (\S+)$/.exec(text) ?? []
    if (kind === undefined) {
      if (isInside) lines.push({ line: i + 1, text })
    } else if (name === region) {
      isInside = kind === 'region'
      isFound = true
    }
  }
  return isFound ? trimmed(lines) : undefined
}

/** Without empty lines at both ends. */
function trimmed(lines: readonly Line[]): readonly Line[] {
  const hasText = lines.map(({ text }) => text !== '')
  return lines.slice(hasText.indexOf(true), hasText.lastIndexOf(true) + 1)
}

function dedented(lines: readonly string[]): readonly string[] {
  const indents = lines.filter((text) => text !== '').map((text) => text.search(/\S/))
  return lines.map((text) => text.slice(Math.min(...indents)))
}
