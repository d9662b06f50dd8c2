import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../run.ts'

const folder = join(root, 'docs/decisions')
const files = readdirSync(folder)
  .filter((file) => /^\d{4}-.*\.md$/.test(file))
  .sort()

test('the index of decisions lists every record (vitest -u writes it)', async () => {
  await expect(indexOf(files)).toMatchFileSnapshot(join(folder, 'index.md'))
})

test.each(files)('the decision %s states context, decision and consequences', (file) => {
  const headings = [...read(file).matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)
  expect(headings.filter((heading) => heading !== 'Considered')).toEqual(['Context', 'Decision', 'Consequences'])
})

function indexOf(names: readonly string[]): string {
  const rows = names.map((file) => {
    const [, number, title] = /^# (\d+)\. (.+)$/m.exec(read(file)) ?? []
    expect(Number(number), `the number in the title of ${file}`).toBe(Number.parseInt(file, 10))
    return `| ${number} | [${title}](${file}) |`
  })
  return [
    '# Decisions',
    '',
    'Each record states a problem, the decision, the rejected alternatives and the consequences.',
    '',
    '| | Decision |',
    '| --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

const read = (file: string): string => readFileSync(join(folder, file), 'utf8')
