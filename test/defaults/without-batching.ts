import { createApp as createAppWithBatching } from '../../src/index.ts'

export * from '../../src/index.ts'

/** `createApp`, with batching off unless a test says otherwise. */
export const createApp = ((options: object) =>
  createAppWithBatching({ batching: false, ...options } as never)) as typeof createAppWithBatching
