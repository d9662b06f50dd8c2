import { checkMessage, checkText, checkTitle, type Finding, most, sentencesIn, wordsIn } from './rules.ts'

const isFence = (line: string): boolean => /^\s*(```|~~~)/.test(line)
/** Link to a test: its text is the title of the test. */
const isTestLink = (line: string): boolean => /^\s*[-*]\s*\[.*\]\(.*(\.test\.ts|src\/conformance\/.*)\)$/.test(line)
const isUnwrappable = (line: string): boolean => /\]\([^)]{30,}/.test(line) || /^\s*\S+$/.test(line)

/** Texts in the cells of a row of a table. A bar within code is not a border. */
const cellsIn = (row: string): readonly string[] =>
  row
    .replace(/`[^`]*`/g, (code) => code.replaceAll('|', '/'))
    .split(/(?<!\\)\||<br>|; /)
    .map((cell) => cell.trim())

/**
 * Checks a page of Markdown outside of its code. `isWritten` is false for pages that are generated
 * or grow.
 */
export function checkPage(markdown: string, page: string, isWritten: boolean): readonly Finding[] {
  const findings: Finding[] = []
  const report = (rule: string, line: number, text: string) => findings.push({ rule, place: `${page}:${line}`, text })
  let inCode = false
  let isFront = false
  let paragraph = ''
  let start = 1
  let words = 0
  const flush = () => {
    if (wordsIn(paragraph) > most.paragraphWords) report('long-paragraph', start, paragraph)
    findings.push(...checkText(paragraph, `${page}:${start}`))
    paragraph = ''
  }
  for (const [i, line] of markdown.split('\n').entries()) {
    if (line === '---' && (i === 0 || isFront)) {
      isFront = i === 0
      continue
    }
    if (isFence(line)) inCode = !inCode
    if (isFront || inCode || isFence(line) || /^\s*(<!--|:::|<<<|\|?\s*:?-{3})/.test(line) || isTestLink(line)) {
      flush()
      continue
    }
    if (line.startsWith('|')) {
      flush()
      findings.push(...cellsIn(line).flatMap((cell) => checkText(cell, `${page}:${i + 1}`)))
      continue
    }
    words += wordsIn(line)
    if (line.length > most.line && !isUnwrappable(line)) report('long-line', i + 1, line)
    const heading = /^#+ (?:\d+\. )?(.*)$/.exec(line)?.[1]
    if (isWritten && heading !== undefined && wordsIn(heading) > most.headingWords) report('long-heading', i + 1, heading)
    if (line.trim() === '' || /^\s*([-*#>]|\d+\.)/.test(line)) flush()
    if (line.trim() === '') continue
    if (paragraph === '') start = i + 1
    paragraph += ` ${line.replace(/^\s*([-*#>]|\d+\.)+\s*/, '')}`
    if (heading !== undefined) flush()
  }
  flush()
  if (isWritten && words > most.pageWords) report('long-page', 1, `${words} words`)
  return findings
}

/** Checks the comments and the messages of errors of a module. */
export function checkModule(source: string, file: string): readonly Finding[] {
  const at = placesIn(source, file)
  const docComments = [...source.matchAll(/\/\*\*([\s\S]*?)\*\//g)].flatMap(({ 1: comment = '', index }) => {
    const text = comment.replace(/^\s*\* ?/gm, '').split(/@example/)[0] ?? ''
    // Paragraphs, items of lists and tags.
    const blocks = text.split(/\n\s*\n|\n(?=\s*(?:-|\d+\.|@\w+) )/).map((block) => block.replace(/\s+/g, ' ').trim())
    const summary = sentencesIn(blocks[0]?.split(/\s@\w+/)[0] ?? '')[0] ?? ''
    const isLong = summary.length > most.summary
    return [
      ...(isLong ? [{ rule: 'long-summary', place: at(index), text: summary }] : []),
      ...blocks.flatMap((block) => checkText(block, at(index))),
    ]
  })
  const comments = [...source.matchAll(/^\s*\/\/ (.*)$/gm)].flatMap(({ 1: text = '', index }) => checkText(text, at(index)))
  const messages = [...source.matchAll(message)].flatMap(({ 2: text = '', index }) =>
    /^[A-Z_]+$/.test(text) ? [] : checkMessage(text, at(index)),
  )
  return [...docComments, ...comments, ...messages]
}

const message =
  /(?:new \w+(?:Error|Problem)\(|Answer = \[|\['STORE_\w+',|['"](?:STORE|SCHEMA)_\w+',)\s*(?:'[A-Z_]+',\s*)?([`'"])((?:\\.|(?!\1)[\s\S]){12,}?)\1/g

/** Checks the titles of the tests of a module. */
export function checkTitles(source: string, file: string): readonly Finding[] {
  const at = placesIn(source, file)
  const titles = source.matchAll(/\b(?:test|it)(?:\.each\([\s\S]*?\))?\(\s*(['"`])((?:\\.|(?!\1).)+?)\1/g)
  return [...titles].flatMap(({ 2: title = '', index }) => checkTitle(title, at(index)))
}

const placesIn =
  (source: string, file: string) =>
  (index: number): string =>
    `${file}:${source.slice(0, index).split('\n').length}`
