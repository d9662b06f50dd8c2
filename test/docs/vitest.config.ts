import { defineConfig } from 'vitest/config'
import { aliasTo } from '../../vitest.config.ts'

/** For snippets that show a test with Vitest. */
export default defineConfig({
  resolve: { alias: aliasTo('src/index.ts') },
  test: { include: ['test/docs/.*/*.vitest.ts'] },
})
