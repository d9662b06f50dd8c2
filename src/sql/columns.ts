import { StoreError } from '../errors.ts'

/**
 * A row as the driver returns it.
 *
 * The functions below read its columns. A value that a driver or adapter has changed causes an
 * error, never a wrong result.
 */
export type Row = Readonly<Record<string, unknown>>

/** @throws StoreError unless the column is a string */
export function text(row: Row, column: string): string {
  const value = row[column]
  return typeof value === 'string' ? value : refuse(row, column, 'a text')
}

/** A string, or `null` for NULL. @throws StoreError for anything else */
export const textOrNull = (row: Row, column: string): string | null => (isNull(row, column) ? null : text(row, column))

/** A safe integer, from a number, a bigint or digits. @throws StoreError for anything else */
export function whole(row: Row, column: string): number {
  const value = row[column]
  const isNumber = typeof value === 'number' || typeof value === 'bigint' || (typeof value === 'string' && digits.test(value))
  const number = isNumber ? Number(value) : Number.NaN
  return Number.isSafeInteger(number) ? number : refuse(row, column, 'a whole number')
}

/** A safe integer, or `null` for NULL. @throws StoreError for anything else */
export const wholeOrNull = (row: Row, column: string): number | null => (isNull(row, column) ? null : whole(row, column))

/** The digits of an integer of any length. @throws StoreError for anything else */
export function digitsOf(row: Row, column: string): string {
  const value = row[column]
  return typeof value === 'string' && digits.test(value) ? value : String(whole(row, column))
}

export const digitsOrNull = (row: Row, column: string): string | null => (isNull(row, column) ? null : digitsOf(row, column))

/** One of `texts`. @throws StoreError for anything else */
export function oneOf<const T extends string>(row: Row, column: string, texts: readonly T[]): T {
  const value = row[column]
  return texts.find((text) => text === value) ?? refuse(row, column, `one of ${texts.map((text) => `'${text}'`).join(' and ')}`)
}

const digits = /^-?\d+$/

/** Some adapters turn NULL into `undefined`; a missing column is an error. */
function isNull(row: Row, column: string): boolean {
  const value = row[column] ?? null
  if (value === null && !has(row, column)) refuse(row, column, 'there')
  return value === null
}

const has = (row: Row, column: string): boolean => !Array.isArray(row) && isObject(row) && column in row

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** @throws StoreError that says how the column differs */
function refuse(row: Row, column: string, wanted: string): never {
  throw new StoreError('STORE_FAILED', whatBecameOf(row, column, wanted))
}

function whatBecameOf(row: unknown, column: string, wanted: string): string {
  if (Array.isArray(row) || !isObject(row))
    return 'The database client returned a row that is not an object. Switch off its array mode (rowMode, arrayMode, returnArrays or raw) for the store.'
  if (has(row as Row, column)) {
    const got = (row as Row)[column]
    const kind = got === null ? 'null' : got instanceof Date ? 'Date' : typeof got
    return `The database client returned the column "${column}" as ${kind} instead of ${wanted}. Remove the type parser or transform that changes values.`
  }
  const renamed = Object.keys(row).find((name) => lettersOf(name).endsWith(lettersOf(column)))
  const instead = renamed === undefined ? `found ${Object.keys(row).join(', ') || 'none'}` : `it is called "${renamed}"`
  return `The database client returned a row without the column "${column}": ${instead}. Give the store a client that does not rename columns.`
}

const lettersOf = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '')
