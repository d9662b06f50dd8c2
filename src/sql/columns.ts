import { StoreError } from '../errors.ts'

/**
 * A row as a driver hands it out.
 *
 * The functions below read its columns. A driver or an adapter that changes a column causes an error, and never another answer.
 */
export type Row = Readonly<Record<string, unknown>>

/** @throws StoreError unless the column is a text */
export function text(row: Row, column: string): string {
  const value = row[column]
  return typeof value === 'string' ? value : refuse(row, column, 'a text')
}

/** A text, or `null` where the database has none. @throws StoreError */
export const textOrNull = (row: Row, column: string): string | null => (isNull(row, column) ? null : text(row, column))

/** A whole number that came as a number, a bigint or digits. @throws StoreError */
export function whole(row: Row, column: string): number {
  const value = row[column]
  const isNumber = typeof value === 'number' || typeof value === 'bigint' || (typeof value === 'string' && digits.test(value))
  const number = isNumber ? Number(value) : Number.NaN
  return Number.isSafeInteger(number) ? number : refuse(row, column, 'a whole number')
}

/** A whole number, or `null` where the database has none. @throws StoreError */
export const wholeOrNull = (row: Row, column: string): number | null => (isNull(row, column) ? null : whole(row, column))

/** The digits of a whole number, however long. @throws StoreError */
export function digitsOf(row: Row, column: string): string {
  const value = row[column]
  return typeof value === 'string' && digits.test(value) ? value : String(whole(row, column))
}

export const digitsOrNull = (row: Row, column: string): string | null => (isNull(row, column) ? null : digitsOf(row, column))

/** One of these texts. @throws StoreError for any other */
export function oneOf<const T extends string>(row: Row, column: string, texts: readonly T[]): T {
  const value = row[column]
  return texts.find((text) => text === value) ?? refuse(row, column, `one of ${texts.map((text) => `'${text}'`).join(' and ')}`)
}

const digits = /^-?\d+$/

/** Some adapters make `undefined` of NULL; a column that is not there is something else. */
function isNull(row: Row, column: string): boolean {
  const value = row[column] ?? null
  if (value === null && !has(row, column)) refuse(row, column, 'there')
  return value === null
}

const has = (row: Row, column: string): boolean => !Array.isArray(row) && isObject(row) && column in row

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** @throws StoreError that says what became of the column */
function refuse(row: Row, column: string, wanted: string): never {
  throw new StoreError('STORE_FAILED', whatBecameOf(row, column, wanted))
}

function whatBecameOf(row: unknown, column: string, wanted: string): string {
  if (Array.isArray(row) || !isObject(row))
    return 'The database client returned a row that is no object. Switch off its array mode for the store: rowMode, arrayMode, returnArrays or raw.'
  if (has(row as Row, column)) {
    const got = (row as Row)[column]
    const kind = got === null ? 'null' : got instanceof Date ? 'Date' : typeof got
    return `The database client returned the column "${column}" as ${kind}; it must be ${wanted}. Remove the type parser or transform that changes values.`
  }
  const renamed = Object.keys(row).find((name) => lettersOf(name).endsWith(lettersOf(column)))
  const instead = renamed === undefined ? `there are ${Object.keys(row).join(', ') || 'none'}` : `it is called "${renamed}"`
  return `The database client returned a row without the column "${column}": ${instead}. Give the store a client that does not rename columns.`
}

const lettersOf = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '')
