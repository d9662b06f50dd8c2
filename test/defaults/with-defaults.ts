import { createApp } from '../../src/index.ts'

/** `createApp` with other defaults, which each test may still change. */
export const createAppWith = (defaults: object) =>
  ((options: object) => createApp({ ...defaults, ...options } as never)) as typeof createApp
