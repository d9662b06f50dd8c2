/**
 * message-db: its schema and functions from npm, in a database of their own, and its two calls
 * through a `pg` pool of 10, as its documentation has them. The program reads the stream with
 * `get_stream_messages`, decides, and calls `write_message` with the expected version. A lost race
 * is decided again.
 */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import pg from 'pg'
import { drive, options } from '../commands/drive.ts'
import { detailsOf } from '../commands/event.ts'

const asked = options()
const details = detailsOf(asked.event)

/** In the order of its own install scripts. Views and privileges are for people. */
const files = [
  ...['schema/message-store', 'extensions/pgcrypto', 'tables/messages', 'types/message'],
  ...['hash-64', 'acquire-lock', 'category', 'is-category', 'id', 'cardinal-id', 'stream-version', 'write-message']
    .concat('get-stream-messages')
    .map((name) => `functions/${name}`),
  ...['messages-id', 'messages-stream', 'messages-category'].map((name) => `indexes/${name}`),
]
const folder = dirname(createRequire(import.meta.url).resolve('@eventide/message-db/package.json'))
const pool = new pg.Pool({ connectionString: asked.url, options: '-c search_path=message_store,public' })
const setUp = await pool.connect()
await setUp.query('SET client_min_messages = warning')
for (const file of files) await setUp.query(await readFile(`${folder}/database/${file}.sql`, 'utf8'))
setUp.release()

interface Message {
  readonly type: string
  readonly position: string
  readonly data: string
}

let conflicts = 0
let calls = 0
const query = (text: string, values: readonly unknown[]) => {
  calls++
  return pool.query<Message>(text, [...values])
}
const read = async (id: string) => (await query('SELECT * FROM get_stream_messages($1, 0, -1)', [`account-${id}`])).rows
const write = (id: string, type: string, data: object, expected: number) =>
  query('SELECT write_message($1, $2, $3, $4, NULL, $5)', [randomUUID(), `account-${id}`, type, JSON.stringify(data), expected])

function fold(messages: readonly Message[]): { owner: string; balance: number } {
  const account = { owner: '', balance: 0 }
  for (const { type, data } of messages) {
    if (type === 'AccountOpened') account.owner = JSON.parse(data).owner
    else account.balance = JSON.parse(data).balance
  }
  return account
}

async function deposit(id: string, amount: number): Promise<void> {
  for (;;) {
    const messages = await read(id)
    const account = fold(messages)
    if (account.owner === '') throw new Error('not-open')
    if (!(amount > 0)) throw new Error('invalid')
    try {
      await write(id, 'MoneyDeposited', { amount, balance: account.balance + amount, ...details }, messages.length - 1)
      return
    } catch (error) {
      if (!(error as Error).message.startsWith('Wrong expected version')) throw error
      conflicts++
    }
  }
}

await drive(
  {
    open: (id) => write(id, 'AccountOpened', { owner: 'ann' }, -1),
    deposit: (id) => deposit(id, 1),
    history: async (id) =>
      (await read(id)).map(({ type, position, data }) => ({
        sequence: Number(position) + 1,
        balance: type === 'MoneyDeposited' ? JSON.parse(data).balance : 0,
      })),
    conflicts: () => conflicts,
    calls: () => calls,
    close: () => pool.end(),
  },
  asked,
)
