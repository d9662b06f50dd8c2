import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
let project: string

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'cqrs-es-lint-'))
  const config = JSON.parse(await readFile(join(root, 'biome.json'), 'utf8'))
  await writeFile(join(project, 'biome.json'), JSON.stringify({ ...config, vcs: { enabled: false } }))
  await cp(join(root, 'lint'), join(project, 'lint'), { recursive: true })
})
afterAll(() => rm(project, { recursive: true, force: true }))

const ambient = [
  'Date.now()',
  'Date.now',
  'new Date()',
  'Date()',
  'Math.random()',
  'setTimeout(() => {}, 1)',
  'setInterval(() => {}, 1)',
  'setImmediate(() => {})',
  'crypto.randomUUID()',
  'performance.now()',
  'globalThis.crypto',
]

test.each(ambient)('the core must not use %s', async (use) => {
  expect(await lint('src/execution/sample.ts', use)).toContain('Ask the runtime')
  expect(await lint('src/sample.ts', use)).toContain('Ask the runtime')
})

test.each(['src/runtime.ts', 'src/memory/sample.ts', 'src/sqlite/sample.ts', 'src/dynamodb/sample.ts', 'test/sample.ts'])(
  '%s may use the ambient clock, timers and randomness',
  async (path) => {
    expect(await lint(path, ...ambient)).not.toContain('Ask the runtime')
  },
)

test.each(['new Date(0)', "Date.parse('2020-01-01')", 'Math.max(1, 2)'])('%s is allowed in the core', async (use) => {
  expect(await lint('src/sample.ts', use)).not.toContain('Ask the runtime')
})

/** What the linter says about a module that has these values. */
async function lint(path: string, ...values: string[]): Promise<string> {
  const file = join(project, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, `export const values = [${values.join(', ')}]\n`)
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome')
  return new Promise((resolve) => {
    execFile(process.execPath, [biome, 'lint', path], { cwd: project }, (_, stdout, stderr) => resolve(stdout + stderr))
  })
}
