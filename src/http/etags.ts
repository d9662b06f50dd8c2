/**
 * The sequence, and behind it the version of the state where that is not the first: after a state has come to be made in another way, who has the old one does not have the new one. What
 * a URL can hold, an ETag can hold too.
 */
export const etagOf = (sequence: number, stateVersion: string): string =>
  stateVersion === '1' ? `"${sequence}"` : `"${sequence}-${encodeURIComponent(stateVersion)}"`

/** The sequence in an ETag, however the state was made; `undefined` where it is none of ours. Proxies that compress put `W/` before it, and the sequence is exact all the same. */
export function sequenceIn(etag: string): number | undefined {
  const [, sequence] = /^(?:W\/)?"(\d{1,15})(?:-[\x21\x23-\x7e]*)?"$/.exec(etag) ?? []
  return sequence === undefined ? undefined : Number(sequence)
}

/** Whether `If-Match` or `If-None-Match` names this ETag, or any. */
export const names = (header: string, etag: string): boolean =>
  header.trim() === '*' || header.split(',').some((one) => one.trim().replace(/^W\//, '') === etag)
