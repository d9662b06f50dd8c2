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

test.each([
  ['node:sqlite', 'Node 24'],
  ['bun:sqlite', 'Bun'],
] as const)('the SQLite store passes the conformance suite on %s', async (_, runtime) => {
  const { code, output } = await run(binary(runtime), [await bundle('sqlite.ts')], {
    env: { NODE_NO_WARNINGS: '1' },
  })
  expect(output).toMatch(/^\{"passed":\d{3},"failed":0,"not applicable":\d+\}\n$/)
  expect(code).toBe(0)
})

test('Bun.serve accepts the handler of an app', async () => {
  const { code, output } = await run(binary('Bun'), [await bundle('http.ts')])
  expect([code, output]).toEqual([0, '200 400 {"by":2}\n'])
})

test.each([
  [
    'node --test on the Node in use',
    () => process.execPath,
    ['--test', '--test-reporter=tap'],
    'kit-node.ts',
    /not ok \d+ - a wrong expectation fails/,
    /ok \d+ - a deposit passes/,
  ],
  ['bun test', () => binary('Bun'), ['test'], 'kit-bun.ts', /\(fail\) a wrong expectation fails/, /1 pass\n\s*1 fail/],
] as const)('the test kit passes and fails under %s', async (_, program, args, entry, failed, passed) => {
  const { code, output } = await run(program(), [...args, await bundle(entry, '.test.mjs')], { cwd: folder })
  expect(output).toMatch(passed)
  expect(output).toMatch(failed)
  expect(output).toContain('at [0].data.balance')
  expect(code).not.toBe(0)
})

/** npm would link a hoisted Node as `node_modules/.bin/node`, and every npm script would run on it. */
test('Node 24 does not replace the Node in use', () => {
  expect(existsSync(`${root}node_modules/.bin/node`)).toBe(false)
})

/** One file that holds a module of this folder and all that it imports, except what the runtimes bring along. */
async function bundle(entry: string, ending = '.mjs'): Promise<string> {
  const outfile = join(folder, entry.replace(/\.ts$/, ending))
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
