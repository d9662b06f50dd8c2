/** A time span: `'90s'`, `'15m'`, `'1.5h'`, `'30d'`. A day has 24 hours. */
export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** A time after the input that is decided on, or an instant (ISO 8601 text or `Date`). */
export type Due = { readonly in: Duration } | { readonly at: string | Date }

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Returns the milliseconds of a duration; `undefined` if it is none. */
export function durationMs(text: unknown): number | undefined {
  const found = typeof text === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) : null
  if (found === null) return undefined
  const ms = Number(found[1]) * units[found[2] as keyof typeof units]
  return Number.isFinite(ms) ? Math.ceil(ms) : undefined
}

/** Returns an instant as ISO 8601 text; `undefined` outside of the years 0 to 9999, whose texts sort by time. */
export function instantOf(ms: number): string | undefined {
  const date = new Date(ms)
  if (Number.isNaN(date.getTime())) return undefined
  const text = date.toISOString()
  return text.length === 24 ? text : undefined
}

/** Returns the milliseconds of a `Date` or of an ISO 8601 text: other texts depend on the platform. */
export function instantMs(at: unknown): number {
  if (at instanceof Date) return at.getTime()
  if (typeof at !== 'string' || !/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(at)) return Number.NaN
  return Date.parse(at)
}
