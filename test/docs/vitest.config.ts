import { defineConfig } from 'vitest/config'
import config from '../../vitest.config.ts'

/** For snippets that show a test with Vitest. */
export default defineConfig({
  ...config,
  test: { ...config.test, include: ['test/docs/.*/*.vitest.ts'], reporters: ['default'] },
})
