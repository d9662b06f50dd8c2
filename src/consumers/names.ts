/** Name of a subscription's lease and checkpoint. */
export const subscriptionConsumer = (storedAs: string): string => `subscription/${storedAs}`

/** Name of the lease and the checkpoint of one generation of a view. */
export const viewConsumer = (storedAs: string, generation: number): string => `view/${generation}/${storedAs}`

/** The same of a view that is tables of the user's own. */
export const sqlViewConsumer = (storedAs: string): string => `sql/${storedAs}`

/** Ids of processor rows begin with it, by what they are of; that of a view stands for all its generations. */
export const rowPrefixes = { subscription: 'subscription/', sqlView: 'sql/', view: 'rows/' } as const
