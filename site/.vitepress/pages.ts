import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The pages of the site in the order of its sidebars. Their titles are their headings. */
export const docs = fileURLToPath(new URL('../../docs/', import.meta.url))

export const sections = {
  tutorial: {
    'Build an order system': [
      'index',
      '01-aggregate',
      '02-commands',
      '03-storage',
      '04-views',
      '05-reactions',
      '06-http',
      '07-change',
      '08-deployment',
    ],
  },
  guides: {
    Write: ['start-a-project', 'define-an-aggregate', 'execute-commands', 'retry-safely', 'snapshots', 'test'],
    Read: ['build-a-view', 'read-your-writes', 'live-lists', 'rebuild-a-view', 'sql-views', 'replay'],
    React: [
      'react-to-events',
      'handle-failing-events',
      'processes-and-timers',
      'set-deadlines',
      'publish-events',
      'receive-messages',
    ],
    Design: ['enforce-uniqueness', 'personal-data'],
    Serve: ['serve-http', 'authenticate-and-authorize'],
    Deploy: ['deploy-to-aws', 'run-on-the-edge', 'postgres-poolers', 'operate', 'back-up-and-restore'],
    Change: ['evolve-events', 'deploy-a-new-version'],
    Migrate: ['migrate-from-rust', 'migrate-from-emmett', 'coming-from-axon-or-marten', 'adopt-existing-tables', 'write-a-store'],
  },
  concepts: {
    Concepts: [
      'event-sourcing',
      'when-not-to-use',
      'comparison',
      'choosing-a-store',
      'consistency-model',
      'how-a-command-runs',
      'group-commit',
      'the-ordering-problem',
      'without-a-global-order',
      'leases-and-fences',
      'how-rebuilds-work',
    ],
  },
  reference: {
    Programming: ['options', 'errors', 'event-envelope', 'consumers', 'versions-of-events', 'observations', 'testing-api'],
    Serving: ['http-api', 'lambda', 'cost-on-dynamodb'],
    Stores: [
      'stores/memory',
      'stores/sqlite',
      'stores/sqlite-schema',
      'stores/postgres',
      'stores/postgres-schema',
      'stores/mysql',
      'stores/mysql-schema',
      'stores/dynamodb',
      'stores/dynamodb-tables',
    ],
    Promises: ['guarantees', 'guarantees-tests', 'benchmarks', 'versions', 'rust-parity'],
  },
} as const

/** The text of the first heading of a page, which is below `docs`. */
export function titleOf(page: string): string {
  const heading = /^# (.+)$/m.exec(readFileSync(`${docs}${page}.md`, 'utf8'))?.[1]
  if (heading === undefined) throw new Error(`docs/${page}.md has no heading`)
  return heading.replaceAll('`', '')
}
