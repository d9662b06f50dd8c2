import { AssertionError } from 'node:assert'
import { difference, isObject, pathText } from '../util/json.ts'

/** @throws AssertionError that shows the first difference; runners diff `actual` and `expected` */
export function assertEqual(what: string, actual: unknown, expected: unknown): void {
  const path = difference(expected, actual)
  if (path === undefined) return
  const place = path.length === 0 ? '' : ` at ${pathText(path)}`
  fail(
    `${what} differs${place}.\n  expected: ${shown(at(expected, path))}\n  actual:   ${shown(at(actual, path))}`,
    actual,
    expected,
  )
}

export function fail(message: string, actual?: unknown, expected?: unknown): never {
  throw new AssertionError({ message: `${message}${whole(actual, expected)}`, actual, expected, operator: 'equal to' })
}

const at = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((inner, key) => (isObject(inner) ? (inner as Record<PropertyKey, unknown>)[key] : undefined), value)

const whole = (actual: unknown, expected: unknown): string =>
  actual === undefined && expected === undefined
    ? ''
    : `\n\nwhole expected: ${shown(expected, 2)}\nwhole actual:   ${shown(actual, 2)}`

/** Shows a value as JSON, or its kind if it is not JSON. */
export function shown(value: unknown, indent?: number): string {
  if (value === undefined) return 'nothing'
  try {
    return (
      JSON.stringify(
        value,
        (_, item) => (typeof item === 'bigint' || typeof item === 'function' ? `<${typeof item}>` : item),
        indent,
      ) ?? String(value)
    )
  } catch {
    return String(value)
  }
}
