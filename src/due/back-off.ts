const firstMs = 1_000
const longestMs = 300_000

/** Returns the wait after a number of failed attempts: doubling from 1 s up to 5 min. */
export const retryWaitMs = (attempts: number): number => Math.min(longestMs, firstMs * 2 ** (attempts - 1))
