import { appendFileSync } from 'node:fs'
import type { Target } from 'cqrs-es/messaging'
import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { publishing } from '../../support/messages.ts'

/** A broker that is a file: a message is acknowledged once its line is there. */
const fileTarget = (file: string): Target => ({
  name: 'file',
  keeps: 'one-per-key',
  most: { messages: 3, bytes: 100_000 },
  calls: 2,
  send: async (messages) => {
    for (const { id } of messages) appendFileSync(file, `${id}\n`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  },
})

/** An app on a database file that publishes to another file. */
export function openPublisher(database: string, messages: string) {
  const store = sqliteStore(new Database(database), { busyTimeoutMs: 60_000 })
  // A killed process leaves its lease behind.
  return { store, app: publishing(fileTarget(messages), { store, following: { leaseMs: 100 } }) }
}

/** Publishes until it is killed. */
const [, , database, messages] = process.argv
if (database !== undefined && messages !== undefined && process.env.PUBLISHES !== undefined) {
  await openPublisher(database, messages).app.start()
  process.stdout.write('ready\n')
}
