import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { isFull, patienceMs } from './test/strength.ts'

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** `cqrs-es` is the source; `core` is what stands for its main entry. */
export const aliasTo = (core: string) => [
  { find: /^cqrs-es\/(.+)$/, replacement: file('src/$1/index.ts') },
  { find: /^cqrs-es$/, replacement: file(core) },
]

/** Where `.ci/run` reads how many tests passed and failed. */
const report = process.env.VITEST_REPORT

/** Test files by what they need. All others run in this process alone, without a server: `fast`. */
const kinds = {
  servers: [
    'test/conformance/{dynamodb,mysql,postgres,sqlite}*.test.ts',
    'test/stores/{crate,dynamodb,mysql,postgres,sqlite}*.test.ts',
    'test/stories/{*on-a-database,sql-views}.test.ts',
    'test/lambda/on-dynamodb.test.ts',
    'test/servers/*.test.ts',
    'test/brokers/brokers.test.ts',
  ],
  crash: ['test/crash/**/*.test.ts'],
  docs: ['test/docs/docs.test.ts', 'test/site/*.test.ts'],
  package: ['test/{package,runtimes}/*.test.ts', 'test/{types,hover,lint}.test.ts'],
  examples: ['examples/**/*.test.ts', 'test/http/*-in-chromium.test.ts'],
}

/** The stories once more with other defaults: what they promise must not depend on them. At night all of them, each default by itself. */
const others: Readonly<Record<string, string>> = isFull
  ? { 'without batching': 'test/defaults/without-batching.ts', 'without cache': 'test/defaults/without-cache.ts' }
  : { 'without batching and cache': 'test/defaults/without-both.ts' }

/** Stories of consumers: they send commands only to have events, so that the defaults of commands are repeated for them at night only. */
const ofConsumers = [
  'test/stories/{draining*,failed-events,giving-way,leftovers,live-changes*,looking-at-consumers,news-of-aggregates}.test.ts',
  'test/stories/{partitions,reading-at-length,renaming,replaying,resetting,rolling-deployments,subscriptions}.test.ts',
  'test/stories/{trying-again,views-behind,waiting-together,watching-the-log,windows}.test.ts',
]

const time = { testTimeout: patienceMs, hookTimeout: patienceMs }

/** Of tests that keep to themselves: loading all modules anew for each file would cost a third of their time. */
const together = { isolate: false }

/** Many small files: the programs of the tutorial, each chapter with all tests that its reader has. */
const chapters = ['examples/tutorial/*/*.test.ts']

const heavy = Object.values(kinds).flat()

/** `serverUrl` of `test/servers/ask.ts` refuses here. */
const withoutServers = { TEST_SERVERS: '' }

const installed = '**/node_modules/**'

export default defineConfig({
  test: {
    globalSetup: ['test/servers/setup.ts'],
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    // Much of a test's time is waiting: one worker more than cores keeps all cores busy.
    maxWorkers: availableParallelism() + 1,
    projects: [
      ...Object.entries(kinds).map(([name, include]) => ({
        resolve: { alias: aliasTo('src/index.ts') },
        test: { ...time, name, include, exclude: [installed, ...chapters] },
      })),
      {
        resolve: { alias: aliasTo('src/index.ts') },
        test: { ...time, ...together, name: 'tutorial', include: chapters, env: withoutServers },
      },
      {
        resolve: { alias: aliasTo('src/index.ts') },
        test: {
          ...time,
          ...together,
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: [installed, ...heavy],
          env: withoutServers,
        },
      },
      ...Object.entries(others).map(([name, core]) => ({
        resolve: { alias: aliasTo(core) },
        test: {
          ...time,
          ...together,
          name,
          include: ['test/stories/**/*.test.ts'],
          exclude: [installed, ...heavy, ...(isFull ? [] : ofConsumers)],
          env: withoutServers,
        },
      })),
    ],
  },
})
