/** A value that a view can be found by. */
export type IndexValue = string | number | boolean | null

/**
 * Encodes an index value as a text whose byte order is the order of the values.
 *
 * The order is `null`, `false`, `true`, numbers, texts. A number becomes the 16 hexadecimal digits
 * of its IEEE 754 form, with the sign bit flipped so that they sort.
 *
 * @example
 * ```ts
 * import { compareBytes, encodeIndexValue } from 'cqrs-es/store'
 *
 * const inOrder = [null, false, true, -1, 0.5, 10, '', 'a'].map(encodeIndexValue)
 * console.log(inOrder.every((text, i) => i === 0 || compareBytes(inOrder[i - 1] ?? '', text) < 0)) // true
 * ```
 */
export function encodeIndexValue(value: IndexValue): string {
  if (value === null) return '0'
  if (value === false) return '1'
  if (value === true) return '2'
  if (typeof value === 'number') return `3${encodeNumber(value)}`
  return `4${value}`
}

function encodeNumber(value: number): string {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value === 0 ? 0 : value)
  const bits = view.getBigUint64(0)
  const sortable = bits >> 63n ? ~bits & 0xffff_ffff_ffff_ffffn : bits | 0x8000_0000_0000_0000n
  return sortable.toString(16).padStart(16, '0')
}
