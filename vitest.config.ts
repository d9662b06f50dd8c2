import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** `cqrs-es` is the source; `core` is what stands for its main entry. */
export const aliasTo = (core: string) => [
  { find: /^cqrs-es\/(.+)$/, replacement: file('src/$1/index.ts') },
  { find: /^cqrs-es$/, replacement: file(core) },
]

/** Where `.ci/run` reads how many tests passed and failed. */
const report = process.env.VITEST_REPORT

const time = { testTimeout: 60_000, hookTimeout: 60_000 }

/** Two processes on three databases take a minute; whether they follow each other has nothing to do with these defaults. */
const once = ['test/stories/following-on-a-database.test.ts']

/** The stories once more with other defaults: what they promise must not depend on them. */
const storiesWith = (name: string, core: string) => ({
  resolve: { alias: aliasTo(core) },
  test: { ...time, name, include: ['test/stories/**/*.test.ts'], exclude: once },
})

export default defineConfig({
  test: {
    globalSetup: ['test/servers/setup.ts'],
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    projects: [
      {
        resolve: { alias: aliasTo('src/index.ts') },
        test: { ...time, name: 'all', include: ['test/**/*.test.ts', 'examples/**/*.test.ts'] },
      },
      storiesWith('without batching', 'test/defaults/without-batching.ts'),
      storiesWith('without cache', 'test/defaults/without-cache.ts'),
    ],
  },
})
