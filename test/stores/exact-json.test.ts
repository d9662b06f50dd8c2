import { describe, expect, it } from 'vitest'
import { parseExact } from '../../src/store/exact-json.ts'
import { randomOf } from '../support/random.ts'

describe('numbers in stored JSON', () => {
  it.each([
    '9007199254740993',
    '-9223372036854775808',
    '18446744073709551615',
    '1e400',
    '-1e400',
    '1e-400',
    '1E+309',
    '0.10000000000000001',
    '123456789.0123456789',
    '1.00000000000000000001',
    '100000000000000000000000000000000000000000000000000001',
    '12345678901234567e-3',
  ])('parseExact refuses %s and returns it as text when asked', (number) => {
    for (const [json, path] of [
      [number, 'it'],
      [`{"a":{"b":[0,${number}]}}`, 'a.b[1]'],
      [` [ ${number} , 1 ]`, '[0]'],
    ] as const) {
      expect(() => parseExact(json)).toThrow(`${path} is a number that JavaScript would round`)
      expect(JSON.stringify(parseExact(json, 'text'))).toBe(json.replaceAll(' ', '').replace(number, `"${number}"`))
    }
  })

  it.each([
    ['0', 0],
    ['-0', -0],
    ['0.0000000000000000000000', 0],
    ['0e999', 0],
    ['1.0', 1],
    ['1000000000000000000000', 1e21],
    ['1.0000000000000000000000', 1],
    ['9007199254740991', 9007199254740991],
    ['9007199254740994', 9007199254740994],
    ['1152921504606847000', 2 ** 60],
    ['1.7976931348623157e308', Number.MAX_VALUE],
    ['5E-324', 5e-324],
    [`0.${'0'.repeat(323)}5`, 5e-324],
    ['123E-2', 1.23],
  ])('parseExact reads %s as its exact number', (json, number) => {
    for (const inexact of ['refuse', 'text'] as const) expect(parseExact(json, inexact)).toBe(number)
  })

  it('parseExact leaves texts and keys unchanged, whatever digits they contain', () => {
    const value = {
      '9007199254740993': '9007199254740993',
      'a":9007199254740993': '\\":9007199254740993,"',
      uuid: '01890a5d-ac96-774b-bcce-b302099a8057',
      list: ['1e400', '\\', ':1e400'],
    }
    for (const inexact of ['refuse', 'text'] as const) expect(parseExact(JSON.stringify(value), inexact)).toEqual(value)
  })

  it('parseExact throws a SyntaxError for text that is not JSON', () => {
    for (const json of ['', '{"a', '[9007199254740993', '09007199254740993', '9007199254740993 x'])
      for (const inexact of ['refuse', 'text'] as const) expect(() => parseExact(json, inexact)).toThrow(SyntaxError)
  })

  it('parseExact reads back every number that JavaScript writes', () => {
    const random = randomOf(7)
    const bits = new DataView(new ArrayBuffer(8))
    for (let i = 0; i < 20_000; i++) {
      bits.setUint32(0, Math.floor(random() * 2 ** 32))
      bits.setUint32(4, Math.floor(random() * 2 ** 32))
      const number = bits.getFloat64(0)
      if (Number.isFinite(number)) expect(parseExact(JSON.stringify([number]))).toEqual([number])
    }
  })

  it('parseExact parses a number of a million zeros in linear time', () => {
    expect(() => parseExact(`1${'0'.repeat(1_000_000)}1`)).toThrow('would round')
    expect(() => parseExact(`0.${'0'.repeat(1_000_000)}1`)).toThrow('would round')
  })
})
