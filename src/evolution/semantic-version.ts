/** Major, minor and patch. */
export type SemanticVersion = readonly [number, number, number]

/**
 * Parses `1`, `1.2` or `1.2.3`. Missing parts are 0; parts after the third are ignored.
 *
 * Returns `undefined` for anything else: words, an empty part, a sign, a pre-release tag.
 */
export function parseVersion(text: string): SemanticVersion | undefined {
  const parts = /^(\d{1,15})(?:\.(\d{1,15})(?:\.(\d{1,15})(?:\.[^.]+)*)?)?$/.exec(text)
  return parts === null ? undefined : [Number(parts[1]), Number(parts[2] ?? 0), Number(parts[3] ?? 0)]
}

/** Returns a negative number when `a` is older than `b`, 0 when they are the same version. */
export const compareVersions = (a: SemanticVersion, b: SemanticVersion): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]

export const versionText = (version: SemanticVersion): string => version.join('.')
