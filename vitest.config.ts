import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

/** Where `.ci/run` reads how many tests passed and failed. */
const report = process.env.VITEST_REPORT

export default defineConfig({
  resolve: {
    alias: [
      { find: /^cqrs-es\/(.+)$/, replacement: source('$1/index.ts') },
      { find: /^cqrs-es$/, replacement: source('index.ts') },
    ],
  },
  test: {
    globalSetup: ['test/servers/setup.ts'],
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
})
