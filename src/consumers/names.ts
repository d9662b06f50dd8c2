/** Returns the name of the lease and checkpoint of a subscription or a publication. */
export const actingConsumer = (kind: 'subscription' | 'publication', storedAs: string): string =>
  `${rowPrefixes[kind]}${storedAs}`

/** Returns the name of the lease and checkpoint of one generation of a view. */
export const viewConsumer = (storedAs: string, generation: number): string => `view/${generation}/${storedAs}`

/**
 * Returns the name of the lease and checkpoint of a view that consists of the user's own tables.
 */
export const sqlViewConsumer = (storedAs: string): string => `sql/${storedAs}`

/** Returns the name of the lease and checkpoint of a process. */
export const processConsumer = (name: string): string => `process/${name}`

/** Prefixes of processor row ids by kind. The row of a view covers all its generations. */
export const rowPrefixes = {
  subscription: 'subscription/',
  publication: 'publication/',
  process: 'process/',
  sqlView: 'sql/',
  view: 'rows/',
} as const
