/**
 * Work of the question `client` in its own process: sends warm commands to a store that costs the
 * server nothing, and prints one JSON line. Options: `--store instant`, `--callers 64`.
 *
 * The program imports nothing of this package but by its name, so it also measures other commits.
 */
import { parseArgs } from 'node:util'
import { createApp } from 'cqrs-es'
import { account, deposit, open } from '../bank.ts'
import { type QuickStore, quickStores } from './quick-stores.ts'

/** Cost of one command. */
export interface Cost {
  readonly cpuMicroseconds: number
  readonly bytes: number
}

const warmUp = 40_000
const measured = 60_000
const accounts = 1_000
/** Commands between two looks at the heap: so few that most of these intervals have no collection. */
const interval = 256
const intervals = 120

const text = { type: 'string', default: '' } as const
const { values: asked } = parseArgs({ options: { store: text, callers: text } })
const store = await quickStores[asked.store as QuickStore]()
const bank = createApp({ store, aggregates: { account } }).aggregates.account
const ids = Array.from({ length: accounts }, (_, i) => `account-${i}`)
for (const id of ids) await bank.execute(id, open)

await send(warmUp)
const before = process.cpuUsage()
await send(measured)
const { user, system } = process.cpuUsage(before)
const cost: Cost = { cpuMicroseconds: (user + system) / measured, bytes: await bytesOfOne() }
console.log(JSON.stringify(cost))
process.exit()

/** Each caller sends one command after another, to account after account. */
async function send(commands: number): Promise<void> {
  let next = 0
  const caller = async () => {
    while (next < commands) {
      const { ok } = await bank.execute(ids[next++ % accounts] as string, deposit(1))
      if (!ok) throw new Error('A deposit was refused.')
    }
  }
  await Promise.all(Array.from({ length: Number(asked.callers) }, caller))
}

/** The median of several intervals: a collection makes the heap smaller. */
async function bytesOfOne(): Promise<number> {
  const grown: number[] = []
  for (let i = 0; i < intervals; i++) {
    const { heapUsed } = process.memoryUsage()
    await send(interval)
    grown.push((process.memoryUsage().heapUsed - heapUsed) / interval)
  }
  const sorted = grown.filter((bytes) => bytes > 0).sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
