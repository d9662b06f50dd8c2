/** Longer than a proxy leaves a connection alone helps nobody. */
const maxWaitSeconds = 60

/** For how many seconds a caller would wait: `Prefer: wait=5` (RFC 7240). */
export function secondsToWait(headers: Headers): number | undefined {
  for (const preference of preferencesIn(headers.get('Prefer') ?? '')) {
    const [, quoted, plain = quoted] = /^\s*wait\s*=\s*(?:"(\d+)"|(\d+))\s*(?:;|$)/i.exec(preference) ?? []
    if (plain !== undefined) return Math.min(Number(plain), maxWaitSeconds)
  }
  return undefined
}

/** Split at the commas that are not in quotes. */
const preferencesIn = (header: string): readonly string[] => header.match(/(?:[^",]|"(?:\\.|[^"\\])*"?)+/g) ?? []
