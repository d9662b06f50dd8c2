/** Returns the name of a subscription's lease and checkpoint. */
export const subscriptionConsumer = (storedAs: string): string => `subscription/${storedAs}`

/** Returns the name of the lease and checkpoint of one generation of a view. */
export const viewConsumer = (storedAs: string, generation: number): string => `view/${generation}/${storedAs}`

/**
 * Returns the name of the lease and checkpoint of a view that consists of the user's own tables.
 */
export const sqlViewConsumer = (storedAs: string): string => `sql/${storedAs}`

/** Returns the name of the lease and checkpoint of a process. */
export const processConsumer = (name: string): string => `process/${name}`

/** Prefixes of processor row ids by kind. The row of a view covers all its generations. */
export const rowPrefixes = { subscription: 'subscription/', sqlView: 'sql/', view: 'rows/', process: 'process/' } as const
