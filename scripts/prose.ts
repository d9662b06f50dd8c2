import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { checkModule, checkPage, checkTitles } from './prose/readers.ts'
import { checkSubject, type Finding } from './prose/rules.ts'

/**
 * Checks prose by docs/contributing/writing.md: pages, comments, error messages, test titles.
 *
 *   npm run prose                              everything but commit subjects
 *   npm run prose -- docs/guides src/http      files whose path starts so
 *   npm run prose -- --commits main..HEAD      the subjects of these commits
 */
const root = fileURLToPath(new URL('..', import.meta.url))
/** Pages that are generated, grow with each release, or state the whole contract in one place. */
const unlimited =
  /^(CHANGELOG\.md|CONTRIBUTING\.md|docs\/reference\/(guarantees|guarantees-tests|rust-parity|versions)\.md|docs\/reference\/stores\/.*-schema\.md)$/

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { commits: { type: 'string' } },
})

const git = (...args: string[]): readonly string[] =>
  execFileSync('git', args, { cwd: root, encoding: 'utf8' }).split('\n').filter(Boolean)

const findings = options.commits === undefined ? inFiles() : inCommits(options.commits)
for (const { rule, place, text } of findings) console.log(`${place} ${rule}: ${text.trim().slice(0, 160)}`)
const counts = new Map<string, number>()
for (const { rule } of findings) counts.set(rule, (counts.get(rule) ?? 0) + 1)
for (const [rule, count] of [...counts].sort(([, a], [, b]) => b - a)) console.log(`${String(count).padStart(5)} ${rule}`)
console.log(`${findings.length} findings in prose.`)
if (findings.length > 0) process.exitCode = 1

function inFiles(): readonly Finding[] {
  return git('ls-files', '-co', '--exclude-standard')
    .filter((file) => positionals.length === 0 || positionals.some((start) => file.startsWith(start)))
    .flatMap((file) => {
      if (!/\.(md|ts)$/.test(file)) return []
      const text = readFileSync(`${root}${file}`, 'utf8')
      if (/^([A-Z]+\.md|(docs|examples|bench)\/.*\.md)$/.test(file)) return checkPage(text, file, !unlimited.test(file))
      if (/^src\/.*\.ts$/.test(file)) return checkModule(text, file)
      return /^(test|examples)\/.*\.ts$/.test(file) ? checkTitles(text, file) : []
    })
}

function inCommits(range: string): readonly Finding[] {
  return git('log', '--no-merges', '--format=%h %s', range).flatMap((line) => {
    const [commit = '', ...words] = line.split(' ')
    return checkSubject(words.join(' '), commit)
  })
}
