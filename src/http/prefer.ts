/** Capped: proxies drop idle connections after about this time. */
const maxWaitSeconds = 60

/** Returns the seconds that a client is willing to wait: `Prefer: wait=5` (RFC 7240). */
export function secondsToWait(headers: Headers): number | undefined {
  for (const preference of preferencesIn(headers.get('Prefer') ?? '')) {
    const [, quoted, plain = quoted] = /^\s*wait\s*=\s*(?:"(\d+)"|(\d+))\s*(?:;|$)/i.exec(preference) ?? []
    if (plain !== undefined) return Math.min(Number(plain), maxWaitSeconds)
  }
  return undefined
}

/** Splits at the commas outside quotes. */
const preferencesIn = (header: string): readonly string[] => header.match(/(?:[^",]|"(?:\\.|[^"\\])*"?)+/g) ?? []
