import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root, run } from '../run.ts'
import { binary } from './binaries.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cqrs-es-runtimes-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const programs = { 'the Node in use': () => process.execPath, 'Node 24': () => binary('Node 24'), Bun: () => binary('Bun') }

test.each(Object.entries(programs))('the core works on %s', async (_, program) => {
  const { code, output } = await run(program(), [await bundle('entry.ts')])
  expect(output).toBe('ok\n')
  expect(code).toBe(0)
})

test('Node 24 has SQLite, and so has Bun', async () => {
  const sqlite = (name: string, database: string) => [
    ...['--input-type=module', '--eval'],
    `import { ${database} } from '${name}'; console.log(new ${database}(':memory:').prepare('SELECT 1 AS one').get().one)`,
  ]
  expect((await run(binary('Node 24'), ['--no-warnings', ...sqlite('node:sqlite', 'DatabaseSync')])).output).toBe('1\n')
  expect((await run(binary('Bun'), sqlite('bun:sqlite', 'Database').slice(1))).output).toBe('1\n')
})

/** npm would link a hoisted Node as `node_modules/.bin/node`, and every npm script would run on it. */
test('Node 24 does not take the place of the Node in use', () => {
  expect(existsSync(`${root}node_modules/.bin/node`)).toBe(false)
})

/** One file that holds a module of this folder and all that it imports, except what the runtimes bring along. */
async function bundle(entry: string): Promise<string> {
  const outfile = join(folder, entry.replace(/\.ts$/, '.mjs'))
  await build({
    absWorkingDir: join(root, 'test/runtimes'),
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    target: 'es2022',
    external: ['node:*', 'bun:*'],
    tsconfig: join(root, 'tsconfig.json'),
    sourcemap: 'inline',
  })
  return outfile
}
