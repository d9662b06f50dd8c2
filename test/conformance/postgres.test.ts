import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { afterAll, describe } from 'vitest'
import { appendCases } from '../../src/conformance/append.ts'
import { conflictCases } from '../../src/conformance/conflicts.ts'
import { feedCases } from '../../src/conformance/feed.ts'
import { leaseCases } from '../../src/conformance/leases.ts'
import { transactionCases } from '../../src/conformance/transactions.ts'
import { serverUrl } from '../servers/ask.ts'
import { startPgBouncer } from '../servers/pgbouncer.ts'
import { startPostgres } from '../servers/postgres.ts'
import { unselected } from '../servers/stores.ts'
import { hostConformance, onlyByDay } from './host.ts'
import { postgresHostThatReuses } from './postgres-host.ts'

const skipped = unselected('postgres')

function pools(connectionString: string) {
  const [one, two] = [new pg.Pool({ connectionString, max: 4 }), new pg.Pool({ connectionString, max: 4 })]
  afterAll(() => Promise.all([one.end(), two.end()]))
  return [one, two] as const
}

describe.skipIf(skipped)('Postgres', async () => {
  if (!skipped) await hostConformance(postgresHostThatReuses(...pools(await serverUrl('postgres'))))
})

describe.skipIf(skipped)('Postgres behind PgBouncer in transaction mode, with a listener of its own', async () => {
  if (skipped) return
  const url = await serverUrl('postgres')
  const pooler = await startPgBouncer(url)
  afterAll(() => pooler.stop())
  const listener = new pg.Client({ connectionString: url })
  await listener.connect()
  afterAll(() => listener.end())
  await hostConformance(postgresHostThatReuses(...pools(pooler.url), { listener }))
})

describe.skipIf(skipped || process.platform !== 'linux' || process.arch !== 'x64')(
  'Postgres 13, with prepared statements',
  async () => {
    if (skipped) return
    const server = await startPostgres({ version: '13' })
    afterAll(() => server.stop())
    await hostConformance(postgresHostThatReuses(...pools(server.url), { preparedStatements: true }))
  },
)

describe.skipIf(skipped)('PGlite', async () => {
  if (skipped) return
  const database = new PGlite()
  afterAll(() => database.close())
  // The same server, compiled otherwise, with one connection for all.
  const isWanted = onlyByDay(appendCases, conflictCases, feedCases, leaseCases, transactionCases)
  await hostConformance(postgresHostThatReuses(database, database), isWanted)
})
