import { describe, expect, test } from 'vitest'
import { checkModule, checkPage, checkTitles } from '../scripts/prose/readers.ts'
import { checkSubject } from '../scripts/prose/rules.ts'

const rulesOf = (findings: readonly { readonly rule: string; readonly place: string }[]) =>
  findings.map(({ rule, place }) => `${place} ${rule}`)
const words = (count: number): string => Array.from({ length: count }, () => 'word').join(' ')

describe('the checks of a page', () => {
  test.each([
    ['What a handler throws is parked here.', 'clause-subject'],
    ['Somebody stores an event.', 'word'],
    [`${words(31)}.`, 'long-sentence'],
    [`${`${words(20)}.\n`.repeat(5)}`, 'long-paragraph'],
    ['- text '.padEnd(130, 'ab '), 'long-line'],
    [`# ${words(7)}`, 'long-heading'],
    [`${words(20)}.\n\n`.repeat(76), 'long-page'],
  ])('checkPage finds in %j: %s', (markdown, rule) => {
    expect(checkPage(markdown, 'page.md', true).map((finding) => finding.rule)).toContain(rule)
  })

  test('checkPage names the line of a finding', () => {
    expect(rulesOf(checkPage('# Title\n\nA sentence.\n\nNobody reads it.', 'page.md', true))).toEqual(['page.md:5 word'])
  })

  test.each([
    'What next is a list.',
    '```ts\n// nobody\n```',
    '`nobody` is a value.',
    '[text](https://example.com/nobody)',
    '---\ntitle: nobody\n---\n',
    `| ${'cell | '.repeat(40)}`,
  ])('checkPage finds nothing in %j', (markdown) => {
    expect(checkPage(markdown, 'page.md', true)).toEqual([])
  })

  test('checkPage allows generated pages any length and headings', () => {
    expect(checkPage(`# ${words(7)}\n\n${`${words(20)}.\n\n`.repeat(76)}`, 'page.md', false)).toEqual([])
  })
})

test('checkModule reads comments and messages', () => {
  const source = [
    `/** ${'long '.repeat(25)}summary. */`,
    '// Nobody waits.',
    "throw new StoreError('The lock was not to be had.')",
    `throw new StoreError('${'long '.repeat(50)}')`,
  ].join('\n')
  expect(rulesOf(checkModule(source, 'src/a.ts'))).toEqual([
    'src/a.ts:1 long-summary',
    'src/a.ts:2 word',
    'src/a.ts:3 message-word',
    'src/a.ts:4 long-message',
  ])
})

test('checkTitles finds fragments and long titles', () => {
  const source = [
    `test('${'is'} stored', () => {})`,
    `test('${words(20)}', () => {})`,
    "test('a store keeps events', () => {})",
  ].join('\n')
  expect(rulesOf(checkTitles(source, 'test/a.test.ts'))).toEqual([
    'test/a.test.ts:1 title-fragment',
    'test/a.test.ts:2 long-title',
  ])
})

test.each([
  ['The store is fast now', ['subject-not-imperative']],
  ['Store '.repeat(13), ['long-subject']],
  ['Store events once', []],
])('checkSubject finds in %j: %j', (subject, rules) => {
  expect(checkSubject(subject.trim(), 'abc').map(({ rule }) => rule)).toEqual(rules)
})
