/**
 * Makes an ETag of the sequence and, unless it is 1, the `stateVersion`.
 *
 * A new `stateVersion` changes the ETag. An ETag can hold everything that a URL can hold.
 */
export const etagOf = (sequence: number, stateVersion: string): string =>
  stateVersion === '1' ? `"${sequence}"` : `"${sequence}-${encodeURIComponent(stateVersion)}"`

/**
 * Returns the sequence in an ETag of any `stateVersion`, `undefined` for a foreign one.
 *
 * Proxies that compress add `W/`; the sequence is exact all the same.
 */
export function sequenceIn(etag: string): number | undefined {
  const [, sequence] = /^(?:W\/)?"(\d{1,15})(?:-[\x21\x23-\x7e]*)?"$/.exec(etag) ?? []
  return sequence === undefined ? undefined : Number(sequence)
}

/** Whether `If-Match` or `If-None-Match` names this ETag, or any. */
export const names = (header: string, etag: string): boolean =>
  header.trim() === '*' || header.split(',').some((one) => one.trim().replace(/^W\//, '') === etag)
