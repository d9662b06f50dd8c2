import type { Position } from '../event-envelope.ts'

/**
 * Compares two positions: negative if `a` is before `b` in commit order, 0 if they are equal.
 *
 * @example
 * ```ts
 * import { comparePositions, type Position } from 'cqrs-es/store'
 *
 * const positions = ['10', '9'] as Position[]
 * console.log(positions.sort(comparePositions)) // [ '9', '10' ]
 * ```
 */
export function comparePositions(a: Position, b: Position): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * Compares two texts by their UTF-8 bytes, which is the order of their code points.
 *
 * The operator `<` of JavaScript compares UTF-16 units, which puts U+1F600 before U+FF5E.
 *
 * @example
 * ```ts
 * import { compareBytes } from 'cqrs-es/store'
 *
 * console.log(['b', 'B', 'a'].sort(compareBytes)) // [ 'B', 'a', 'b' ]
 * ```
 */
export function compareBytes(a: string, b: string): number {
  const end = Math.min(a.length, b.length)
  for (let i = 0; i < end; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return lift(x) - lift(y)
  }
  return a.length - b.length
}

/** Surrogates, which encode U+10000 and up, sort after all other units. */
const lift = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit)
