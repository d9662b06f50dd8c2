/** Major, minor and patch. */
export type SemanticVersion = readonly [number, number, number]

/**
 * Reads `1`, `1.2` or `1.2.3`: missing parts are 0, parts after the third do not count.
 * Anything else (words, an empty part, a sign, a pre-release tag) is no version: `undefined`.
 */
export function parseVersion(text: string): SemanticVersion | undefined {
  const parts = text.split('.')
  const [major, minor, patch] = [parts[0], parts[1] ?? '0', parts[2] ?? '0'].map(parsePart)
  return major === undefined || minor === undefined || patch === undefined || parts.some((part) => part === '')
    ? undefined
    : [major, minor, patch]
}

const parsePart = (part: string | undefined): number | undefined =>
  part !== undefined && /^\d{1,15}$/.test(part) ? Number(part) : undefined

/** Negative when `a` is older than `b`, 0 when they are the same version. */
export const compareVersions = (a: SemanticVersion, b: SemanticVersion): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]

export const versionText = (version: SemanticVersion): string => version.join('.')
