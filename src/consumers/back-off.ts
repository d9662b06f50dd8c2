const firstMs = 100
const longestMs = 30_000

/** Returns the wait after a number of consecutive failures: doubling from 0.1 s up to 30 s. */
export const backOffMs = (failures: number): number => Math.min(longestMs, firstMs * 2 ** (failures - 1))
