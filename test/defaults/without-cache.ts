import { createApp as createAppWithCache } from '../../src/index.ts'

export * from '../../src/index.ts'

/** `createApp`, with the cache off unless a test says otherwise. */
export const createApp = ((options: object) =>
  createAppWithCache({ cache: false, ...options } as never)) as typeof createAppWithCache
