import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { conformanceCases } from 'cqrs-es/conformance'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'

/**
 * Runs the conformance suite on the SQLite that comes with the runtime: `bun:sqlite` on Bun, `node:sqlite` on Node.
 * Prints what failed, then how many cases passed, failed and did not apply.
 */
type Client = SqliteDatabase & { close(): void }

const open: (file: string) => Client = await ('Bun' in globalThis ? bunSqlite() : nodeSqlite())

async function bunSqlite() {
  const { Database } = await import('bun:sqlite')
  return (file: string): Client => new Database(file)
}

async function nodeSqlite() {
  const { DatabaseSync } = await import('node:sqlite')
  return (file: string): Client => new DatabaseSync(file)
}

const folder = await mkdtemp(join(tmpdir(), 'cqrs-es-sqlite-'))
let databases = 0
const cases = await conformanceCases({
  schema: 'required',
  async open({ schema }) {
    const file = join(folder, `${++databases}.db`)
    const clients: Client[] = []
    const connect = async () => {
      const client = open(file)
      clients.push(client)
      return sqliteStore(client, { durability: 'normal' })
    }
    const store = await connect()
    if (schema) await store.createSchema()
    return {
      store,
      connect,
      close: async () => {
        for (const client of clients) client.close()
      },
    }
  },
})

const count = { passed: 0, failed: 0, 'not applicable': 0 }
for (const { name, notApplicable, run } of cases) {
  if (notApplicable !== undefined) count['not applicable']++
  else {
    try {
      await run()
      count.passed++
    } catch (error) {
      count.failed++
      console.log(`${name}: ${error instanceof Error ? error.stack : String(error)}`)
    }
  }
}
await rm(folder, { recursive: true, force: true, maxRetries: 5 })
console.log(JSON.stringify(count))
