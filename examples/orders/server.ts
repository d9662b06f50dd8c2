import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type OpenStore, postgres, sqlite } from '../bank-account/stores.ts'
import { throwAway } from '../bank-account/throw-away.ts'
import { listen } from './listen.ts'

/**
 * `npm run orders`: the shop on a SQLite file. `STORE=postgres npm run orders`: two processes on
 * one Postgres, which run this file again with the number of the process.
 */
const { PROCESS, STORE = 'sqlite', PORT = '3000', POSTGRES_URL, ORDERS_FILE } = process.env

try {
  if (PROCESS !== undefined) await serve(postgres(POSTGRES_URL ?? '', 'shop'), `Process ${PROCESS} (pid ${process.pid})`)
  else if (STORE === 'postgres') await serveTwice(POSTGRES_URL || (await privatePostgres()))
  else if (STORE === 'sqlite') {
    const file = ORDERS_FILE || fileURLToPath(new URL('../../data/orders.db', import.meta.url))
    await serve(sqlite(file), 'The shop')
    console.log(`It keeps its events in ${file}. Ctrl-C closes it.`)
  } else throw new Error(`STORE must be sqlite or postgres, not '${STORE}'.`)
} catch (error) {
  console.error(`The shop cannot open: ${error instanceof Error ? error.message : error}`)
  console.error('PORT chooses another port, ORDERS_FILE another file, STORE another store.')
  process.exitCode = 1
}

async function serve(openStore: OpenStore, name: string): Promise<void> {
  // Another process takes over 2 s after this one was killed.
  const shop = await listen({ openStore, port: Number(PORT), following: { pollMs: 200, leaseMs: 2_000 } })
  console.log(`${name} is open at ${shop.url}`)
  let closing: Promise<void> | undefined
  const close = async () => {
    closing ??= shop.close()
    await closing
    if (process.connected) process.disconnect()
  }
  process.once('SIGINT', close).once('SIGTERM', close).once('disconnect', close)
  process.once('exit', () => console.log(`${name} is closed.`))
}

function privatePostgres(): Promise<string> {
  console.log('Starting a private Postgres, which ends with this process. POSTGRES_URL names another.')
  return throwAway('postgres')
}

/** Starts two processes and waits for their end. */
async function serveTwice(url: string): Promise<void> {
  const children = [0, 1].map((i) => {
    const port = Number(PORT) === 0 ? 0 : Number(PORT) + i
    return fork(process.argv[1] ?? '', { env: { ...process.env, PROCESS: `${i + 1}`, POSTGRES_URL: url, PORT: `${port}` } })
  })
  const stop = () => {
    for (const child of children) child.kill('SIGTERM')
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
  console.log('Two processes on one Postgres. Kill one with kill -9: the other continues. Ctrl-C closes both.')
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0] as number | null))
  if (codes.some((code) => code !== 0 && code !== null)) process.exitCode = 1
}
