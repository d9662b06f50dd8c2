import { DefinitionError, messageOf, ValidationError } from '../errors.ts'

/**
 * Treatment of stored numbers that JavaScript would round.
 *
 * Other programs may store such numbers (`9007199254740993`, `0.12345678901234567`, `1e400`).
 * JavaScript never does. With `'refuse'`, reading the event fails with a `DeserializationError`
 * that names it. With `'text'`, the number is returned as its text, digit by digit; exact numbers
 * stay numbers.
 *
 * @example
 * ```ts
 * import type { InexactNumbers } from 'cqrs-es/store'
 *
 * export const optionOf = (countsInCents: boolean): InexactNumbers => (countsInCents ? 'text' : 'refuse')
 * ```
 */
export type InexactNumbers = 'refuse' | 'text'

/** @throws DefinitionError for an unknown choice */
export function checkInexactNumbers(store: string, choice: unknown): asserts choice is InexactNumbers {
  if (choice === 'refuse' || choice === 'text') return
  throw new DefinitionError(`${store}: "inexactNumbers" must be 'refuse' or 'text', not ${JSON.stringify(choice)}.`)
}

/**
 * Numbers of up to 15 digits without an exponent are always exact: most texts need only this test.
 */
const suspicious = /(?:^|[\s:,[])-?(?:[\d.]{16}|[\d.]+e)/i

/**
 * Parses JSON text, with every number exact or as text.
 *
 * @throws SyntaxError if it is not JSON, Error if a number would be rounded
 */
export function parseExact(json: string, inexact: InexactNumbers = 'refuse'): unknown {
  const value: unknown = JSON.parse(json)
  const exact = quoteInexact(json, inexact === 'text' ? '' : mark)
  if (exact === json) return value
  const read: unknown = JSON.parse(exact)
  if (inexact === 'text') return read
  throw new Error(
    `${pathOfMark(read)} is a number that JavaScript would round. The store option inexactNumbers: 'text' returns it as text`,
  )
}

/**
 * Parses JSON text of a client.
 *
 * Decimals of up to 17 digits are rounded to the nearest number: many languages print doubles so.
 *
 * @throws SyntaxError if it is not JSON. ValidationError if JavaScript would round a number
 */
export function parseReceived(json: string): unknown {
  const value: unknown = JSON.parse(json)
  const exact = quoteInexact(json, mark, isReceivable)
  if (exact === json) return value
  const read: unknown = JSON.parse(exact)
  const message = 'JavaScript cannot hold this number exactly: send up to 15 digits, or a text'
  throw new ValidationError(`${pathOfMark(read)}: ${message}.`, [{ path: pathTo(read) ?? [], message }])
}

/** Whether JavaScript keeps the value of a client's number, or that of the client's double. */
export function isReceivable(number: string): boolean {
  if (isExact(number)) return true
  const digits =
    number
      .toLowerCase()
      .split('e')[0]
      ?.replace(/^-?0*\.?0*|\./g, '') ?? ''
  return /[.e]/i.test(number) && digits.length <= 17 && Number.isFinite(Number(number)) && Number(number) !== 0
}

/** Describes the problem of stored text, given the error that reading it threw. */
export const problemOf = (cause: unknown): string =>
  cause instanceof SyntaxError ? 'is not JSON' : `cannot be read: ${messageOf(cause)}`

/** Marks a refused number, to find it again in the value. */
const mark = 'cqrs-es inexact '

/** Quotes the inexact numbers in JSON text, each after `prefix`. */
function quoteInexact(json: string, prefix: string, isFine = isExact): string {
  if (!suspicious.test(json)) return json
  const next = /"|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi
  let quoted = ''
  let from = 0
  for (let found = next.exec(json); found !== null; found = next.exec(json)) {
    const [token] = found
    if (token === '"') next.lastIndex = endOfText(json, found.index)
    else if (!isFine(token)) {
      quoted += `${json.slice(from, found.index)}"${prefix}${token}"`
      from = next.lastIndex
    }
  }
  return quoted + json.slice(from)
}

/** Returns the index after the closing quote. */
function endOfText(json: string, start: number): number {
  for (let at = start + 1; ; at++) {
    at = json.indexOf('"', at)
    let before = at
    while (json[before - 1] === '\\') before--
    if ((at - before) % 2 === 0) return at + 1
  }
}

/** Whether JavaScript would write the number with the same value. */
function isExact(number: string): boolean {
  const value = Number(number)
  const written = String(value)
  return written === number || (Number.isFinite(value) && decimalOf(number) === decimalOf(written))
}

/**
 * The digits of a number and the power of ten of the last one: equal for equal values, signs aside.
 */
function decimalOf(number: string): string {
  const [mantissa = '', power = '0'] = number.replace(/^-/, '').toLowerCase().split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  const digits = whole + fraction
  let first = 0
  while (digits[first] === '0') first++
  if (first === digits.length) return '0'
  let end = digits.length
  while (digits[end - 1] === '0') end--
  return `${digits.slice(first, end)}e${Number(power) - fraction.length + digits.length - end}`
}

/** Path of the marked number, such as `lines[2].amount`; `it` for the value itself. */
function pathOfMark(value: unknown): string {
  const path = pathTo(value) ?? []
  const text = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`)).join('')
  return text.replace(/^\./, '') || 'it'
}

function pathTo(value: unknown): readonly (string | number)[] | undefined {
  if (typeof value === 'string') return value.startsWith(mark) ? [] : undefined
  if (typeof value !== 'object' || value === null) return undefined
  for (const [key, item] of Object.entries(value)) {
    const path = pathTo(item)
    if (path !== undefined) return [Array.isArray(value) ? Number(key) : key, ...path]
  }
  return undefined
}
