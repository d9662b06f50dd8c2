import { expect, test } from 'vitest'
import { parityRows, testsIn } from './mutations/page.ts'
import { broken, parity } from './mutations/parity.ts'

const rows = parityRows()

test('every row of the parity table is there, once and in order', () => {
  expect(rows.map(({ row }) => row)).toEqual(Array.from({ length: 108 }, (_, i) => i + 1))
})

test.each(rows.flatMap(({ row, tests }) => tests.map((proof) => ({ row, proof }))))('row $row: $proof', ({ proof }) => {
  const [file = '', name] = proof.split(' › ')
  expect(name, 'a row names a file and a test: `file › test`').toBeDefined()
  expect(testsIn(file)).toContain(name)
})

test('every row says what breaks it or why nothing can, as the table of mutations does', () => {
  expect(rows.filter(({ row }) => broken(row) === '')).toEqual([])
  expect(
    rows.map(({ broken }) => broken),
    'npm run mutate -- --write',
  ).toEqual(rows.map(({ row }) => broken(row)))
})

test('every mutation of a row names a test of that row', () => {
  const lost = parity.filter(({ row, nth = 0 }) => rows[row - 1]?.tests[nth] === undefined)
  expect(lost).toEqual([])
})

test('testsIn finds titles exactly as they are written', () => {
  expect(testsIn('test/parity.test.ts')).toContain('every row of the parity table is there, once and in order')
  expect(testsIn('test/parity.test.ts')).not.toContain('every row')
  expect(testsIn('src/conformance/views.ts')).toContain('a view may be any JSON')
})
