import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { isMarker } from './listings.ts'

/** One or more ```ts fences of a page that make one module. */
export interface Snippet {
  /** The page, relative to the root, with forward slashes. */
  readonly page: string
  /** Line of the first fence, from 1. */
  readonly line: number
  /** Every line of code stands where it stands in the page. */
  readonly code: string
  /** False where a fence says `no-run`: the snippet is only compiled. */
  readonly run: boolean
}

interface Fence {
  readonly line: number
  readonly info: string
  readonly code: readonly string[]
  readonly continues: boolean
  /** A copy of a file that has tests of its own. */
  readonly isListing: boolean
}

/** The API reference is made from doc comments when the site is built. */
const isGenerated = (page: string): boolean => page.startsWith('docs/reference/api/')

/** All snippets of README.md, docs and the doc comments of src. */
export function readSnippets(root: string): readonly Snippet[] {
  const pages = [
    ...list(root, '').filter((page) => page === 'README.md'),
    ...pagesBelow(root, 'docs'),
    ...tree(root, 'src', '.ts'),
  ]
  return pages.flatMap((page) => {
    const text = readFileSync(join(root, page), 'utf8')
    return page.endsWith('.md') ? snippetsOf(page, text) : snippetsOf(page, docComments(text))
  })
}

/** The snippets of one page of Markdown. */
export function snippetsOf(page: string, markdown: string): readonly Snippet[] {
  const groups: Fence[][] = []
  for (const fence of fencesOf(markdown)) {
    if (fence.isListing || !/^(ts|typescript)\b/.test(fence.info)) continue
    const last = groups.at(-1)
    if (fence.continues && last === undefined) throw new Error(`${page}:${fence.line} continues nothing`)
    if (fence.continues) last?.push(fence)
    else groups.push([fence])
  }
  return groups.map((fences) => ({
    page,
    line: fences[0]?.line ?? 1,
    code: inPlace(fences),
    run: !fences.some((fence) => /\bno-run\b/.test(fence.info)),
  }))
}

/** Lines of `@example` tags of a module that have no ```ts fence. */
export function bareExamples(text: string): readonly number[] {
  const lines = docComments(text).split('\n')
  return lines.flatMap((line, i) => {
    if (!/^\s*@example\b/.test(line)) return []
    const next = lines.slice(i + 1).find((other) => other.trim() !== '')
    return next !== undefined && /^\s*```(ts|typescript)\b/.test(next) ? [] : [i + 1]
  })
}

/** The text of a module's doc comments, each line where it stands in the module; all else is blank. */
export function docComments(text: string): string {
  let inside = false
  const lines = text.split('\n').map((line) => {
    if (!inside && /^\s*\/\*\*/.test(line)) inside = true
    else if (!inside) return ''
    const end = line.indexOf('*/')
    if (end >= 0) inside = false
    return (end >= 0 ? line.slice(0, end) : line).replace(/^\s*\/?\*+ ?/, '')
  })
  return lines.join('\n')
}

function fencesOf(markdown: string): readonly Fence[] {
  const fences: Fence[] = []
  let open:
    | { line: number; indent: string; marks: string; info: string; code: string[]; continues: boolean; isListing: boolean }
    | undefined
  let continues = false
  let isListing = false
  for (const [i, line] of markdown.split(/\r?\n/).entries()) {
    if (open !== undefined) {
      if (line.trim().startsWith(open.marks) && line.trim().replaceAll(open.marks[0] ?? '', '') === '') {
        fences.push(open)
        open = undefined
      } else open.code.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line.trimStart())
      continue
    }
    const [, indent = '', marks, info = ''] = /^(\s*)(`{3,}|~{3,})\s*(.*)$/.exec(line) ?? []
    if (marks !== undefined) {
      open = { line: i + 1, indent, marks, info: info.trim(), code: [], continues, isListing }
      continues = false
      isListing = false
    } else if (line.trim() === '<!-- continues -->') continues = true
    else if (isMarker(line)) isListing = true
    else if (line.trim() !== '') {
      continues = false
      isListing = false
    }
  }
  return fences
}

function inPlace(fences: readonly Fence[]): string {
  const lines: string[] = []
  for (const { line, code } of fences) {
    while (lines.length < line) lines.push('')
    lines.push(...code)
  }
  return `${lines.join('\n')}\n`
}

/** The pages below a folder, without those that are generated. */
export const pagesBelow = (root: string, folder: string): readonly string[] =>
  tree(root, folder, '.md').filter((page) => !page.includes('node_modules/') && !isGenerated(page))

function tree(root: string, folder: string, extension: string): readonly string[] {
  const pages = list(root, folder, { recursive: true }).map((file) => `${folder}/${file.split(sep).join('/')}`)
  return pages.filter((page) => page.endsWith(extension)).sort()
}

function list(root: string, folder: string, options: { readonly recursive?: boolean } = {}): readonly string[] {
  try {
    return readdirSync(join(root, folder), { recursive: options.recursive ?? false, encoding: 'utf8' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
