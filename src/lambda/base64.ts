const alphabet = new TextEncoder().encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')
const padding = 61
const unknown = 255
const values = new Uint8Array(256).fill(unknown)
for (const [value, code] of alphabet.entries()) values[code] = value

/** Encodes bytes as base64, with padding. */
export function toBase64(bytes: Uint8Array): string {
  const codes = new Uint8Array(Math.ceil(bytes.length / 3) * 4)
  let at = 0
  for (let i = 0; i < bytes.length; i += 3) {
    const [a = 0, b, c] = [bytes[i], bytes[i + 1], bytes[i + 2]]
    const bits = (a << 16) | ((b ?? 0) << 8) | (c ?? 0)
    codes[at++] = alphabet[bits >> 18] as number
    codes[at++] = alphabet[(bits >> 12) & 63] as number
    codes[at++] = b === undefined ? padding : (alphabet[(bits >> 6) & 63] as number)
    codes[at++] = c === undefined ? padding : (alphabet[bits & 63] as number)
  }
  return new TextDecoder().decode(codes)
}

/** Decodes base64, `undefined` if the text is not base64. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  const padded = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  if (text.length % 4 !== 0) return undefined
  const codes = new TextEncoder().encode(text)
  const bytes = new Uint8Array((text.length / 4) * 3)
  const valueAt = (i: number) => (i >= text.length - padded ? 0 : (values[codes[i] as number] as number))
  for (let i = 0, at = 0; i < text.length; i += 4) {
    const [a, b, c, d] = [valueAt(i), valueAt(i + 1), valueAt(i + 2), valueAt(i + 3)] as const
    if (a === unknown || b === unknown || c === unknown || d === unknown) return undefined
    bytes[at++] = (a << 2) | (b >> 4)
    bytes[at++] = (b << 4) | (c >> 2)
    bytes[at++] = (c << 6) | d
  }
  return bytes.subarray(0, bytes.length - padded)
}
