import { createApp as createAppWithBoth } from '../../src/index.ts'

export * from '../../src/index.ts'

/** `createApp`, with batching and the cache off unless a test says otherwise. */
export const createApp = ((options: object) =>
  createAppWithBoth({ batching: false, cache: false, ...options } as never)) as typeof createAppWithBoth
