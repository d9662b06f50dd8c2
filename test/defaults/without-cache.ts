import { createAppWith } from './with-defaults.ts'

export * from '../../src/index.ts'

export const createApp = createAppWith({ cache: false })
