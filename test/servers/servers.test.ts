import { expect, test } from 'vitest'
import { run } from '../run.ts'

/** Output of a run of one small test with `STORES`. */
const output = async (STORES: string) =>
  (
    await run(`${process.cwd()}/node_modules/.bin/vitest`, ['run', 'test/lint.test.ts', '--testNamePattern', 'no such test'], {
      env: { STORES },
    })
  ).output

test('a run limited by STORES says so', async () => {
  expect(await output('memory, sqlite')).toContain('Only the stores memory, sqlite are tested, as STORES says.')
})

test('an unknown store in STORES stops the run', async () => {
  expect(await output('memory,postgre')).toContain(
    "STORES: there is no store 'postgre'; there are memory, sqlite, postgres, mariadb, mysql, dynamodb.",
  )
})
