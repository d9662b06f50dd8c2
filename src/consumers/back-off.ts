const firstMs = 100
const longestMs = 30_000

/** How long what has failed so often in a row is left alone. */
export const backOffMs = (failures: number): number => Math.min(longestMs, firstMs * 2 ** (failures - 1))
