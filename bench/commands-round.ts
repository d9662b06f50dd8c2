/** One round of `commands.ts`, in the runtime that has the driver: takes a `Round` as JSON, prints a `RoundResult`. */
import { createApp } from 'cqrs-es'
import type { Store } from 'cqrs-es/store'
import { account, deposit, open } from './bank.ts'
import { percentile } from './report.ts'
import { type Durability, openStore, type StoreName } from './stores.ts'

export interface Round {
  readonly store: StoreName
  readonly durability?: Durability
  readonly cache: boolean
  readonly accounts: number
  /** Measured one after another. */
  readonly callers: readonly number[]
  /** After as many to warm up. */
  readonly commandsEach: number
}

export interface RoundResult {
  readonly runs: readonly {
    readonly callers: number
    readonly commandsPerSecond: number
    readonly p50Ms: number
    readonly p99Ms: number
  }[]
  /** What is wrong with the store afterwards; must be empty. */
  readonly faults: readonly string[]
}

const round = JSON.parse(process.argv[2] ?? '') as Round
const { store, close } = await openStore(round.store, round.durability)
const app = createApp({ store, aggregates: { account }, cache: round.cache ? {} : false })
const ids = Array.from({ length: round.accounts }, (_, i) => `account-${i}`)
for (const id of ids) await app.aggregates.account.execute(id, open)

let deposits = 0
await run(64, round.commandsEach)
const runs = []
for (const callers of round.callers) runs.push(await run(callers, round.commandsEach))
const result: RoundResult = { runs, faults: await faultsOf(store) }
await close()
console.log(JSON.stringify(result))

/** Each caller sends one command after the other, to account after account. */
async function run(callers: number, commands: number): Promise<RoundResult['runs'][number]> {
  const latencies = new Float64Array(commands)
  let sent = 0
  const caller = async () => {
    while (sent < commands) {
      const nth = sent++
      const id = ids[nth % ids.length] as string
      const start = performance.now()
      const { ok } = await app.aggregates.account.execute(id, deposit(1))
      latencies[nth] = performance.now() - start
      if (!ok) throw new Error(`A deposit to ${id} was refused.`)
      deposits++
    }
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: callers }, caller))
  const seconds = (performance.now() - began) / 1_000
  latencies.sort()
  return { callers, commandsPerSecond: commands / seconds, p50Ms: percentile(latencies, 50), p99Ms: percentile(latencies, 99) }
}

/** Reads everything back with a new app: each account's events must follow without a gap, and no deposit may be lost or doubled. */
async function faultsOf(store: Store): Promise<string[]> {
  const faults: string[] = []
  const seen = new Map<string, { sequence: number; balance: number }>()
  for await (const { type, data, aggregateId, sequence } of createApp({ store, aggregates: { account } }).events()) {
    const before = seen.get(aggregateId) ?? { sequence: 0, balance: 0 }
    if (sequence !== before.sequence + 1) faults.push(`Event ${sequence} of ${aggregateId} follows ${before.sequence}.`)
    seen.set(aggregateId, { sequence, balance: type === 'MoneyDeposited' ? data.balance : before.balance })
  }
  const sum = [...seen.values()].reduce((total, { balance }) => total + balance, 0)
  if (sum !== deposits) faults.push(`The balances add up to ${sum} after deposits of ${deposits}.`)
  return faults
}
