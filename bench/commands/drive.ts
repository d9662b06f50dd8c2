/**
 * Work of each system of the question `commands`, ours and the peers, each in its own process:
 * opens accounts, lets callers deposit for some seconds, reads everything back. Options: `--url …
 * --callers 1,64 --seconds 1 --accounts 1000 --event large`. Prints one JSON line at the start and
 * end of each measurement, and one for the verdict. `bench/peers/rust` does the same in Rust, and
 * `bench/peers/python` in Python.
 */
import { parseArgs } from 'node:util'
import { percentile } from '../report.ts'
import type { EventSize } from './event.ts'

/** The bank account on one system. */
export interface Bank {
  open(id: string): Promise<unknown>
  /** Deposits 1, and decides again after a lost race. */
  deposit(id: string): Promise<unknown>
  /** The stored events of an account: their sequences, and the balances after them. */
  history(id: string): Promise<readonly { readonly sequence: number; readonly balance: number }[]>
  /** Lost races so far. */
  conflicts?(): number
  /** Driver calls so far. */
  calls?(): number
  close?(): Promise<unknown>
}

/** Result of one measurement. */
export interface Measured {
  readonly callers: number
  readonly commands: number
  readonly commandsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly conflicts?: number
  /** Driver calls per command. */
  readonly callsPerCommand?: number
}

export type Line = { readonly begin: number } | Measured | { readonly faults: readonly string[] }

export interface Options {
  /** Address of an empty database, if the system uses one. */
  readonly url: string
  readonly callers: readonly number[]
  readonly seconds: number
  readonly accounts: number
  readonly event: EventSize
  /** Name of a system in the program. */
  readonly system: string
}

/** Options from the command line. */
export function options(): Options {
  const text = { type: 'string', default: '' } as const
  const { values } = parseArgs({
    options: { url: text, callers: text, seconds: text, accounts: text, system: text, event: text },
  })
  return {
    url: values.url,
    callers: values.callers.split(',').map(Number),
    seconds: Number(values.seconds),
    accounts: Number(values.accounts),
    event: values.event === 'large' ? 'large' : 'small',
    system: values.system,
  }
}

export async function drive(bank: Bank, { callers, seconds, accounts }: Options): Promise<void> {
  const say = (line: Line) => process.stdout.write(`${JSON.stringify(line)}\n`)
  const named = (name: string) => Array.from({ length: accounts }, (_, i) => `${name}-${i}`)
  const all: string[] = []
  /** New accounts for each measurement, so that all are equally young. */
  const opened = async (name: string) => {
    const ids = named(name)
    await eachOf(ids, (id) => bank.open(id))
    all.push(...ids)
    return ids
  }

  const warm = await opened('warm')
  let deposits = 0
  for (const count of callers) {
    const ids = await opened(`account${count}`)
    // One caller and many use different paths in most systems; no measurement includes the first
    // steps.
    deposits += (await load(bank, warm, count, seconds / 2)).commands
    say({ begin: count })
    const measured = await load(bank, ids, count, seconds)
    say(measured)
    deposits += measured.commands
  }
  say({ faults: await faultsOf(bank, all, deposits) })
  await bank.close?.()
  process.exit()
}

/** Each caller sends one command after another, to account after account. */
async function load(bank: Bank, ids: readonly string[], callers: number, seconds: number): Promise<Measured> {
  const latencies: number[] = []
  const [conflicts, calls] = [bank.conflicts?.(), bank.calls?.()]
  let next = 0
  const began = performance.now()
  const end = began + seconds * 1_000
  const caller = async () => {
    for (let start = performance.now(); start < end; ) {
      await bank.deposit(ids[next++ % ids.length] as string)
      const now = performance.now()
      latencies.push(now - start)
      start = now
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const taken = (performance.now() - began) / 1_000
  const sorted = Float64Array.from(latencies).sort()
  return {
    callers,
    commands: latencies.length,
    commandsPerSecond: latencies.length / taken,
    p50Ms: percentile(sorted, 50),
    p99Ms: percentile(sorted, 99),
    ...(conflicts === undefined ? {} : { conflicts: (bank.conflicts?.() ?? 0) - conflicts }),
    ...(calls === undefined ? {} : { callsPerCommand: ((bank.calls?.() ?? 0) - calls) / latencies.length }),
  }
}

/** Faults: gaps in the events of an account, lost or duplicated deposits. */
async function faultsOf(bank: Bank, ids: readonly string[], deposits: number): Promise<string[]> {
  const faults: string[] = []
  let sum = 0
  await eachOf(ids, async (id) => {
    const events = await bank.history(id)
    events.forEach(({ sequence }, at) => {
      if (sequence !== at + 1) faults.push(`Event ${sequence} of ${id} is number ${at + 1}.`)
    })
    sum += events.at(-1)?.balance ?? Number.NaN
  })
  if (sum !== deposits) faults.push(`The balances add up to ${sum} after deposits of ${deposits}.`)
  return faults.slice(0, 10)
}

async function eachOf(ids: readonly string[], does: (id: string) => Promise<unknown>): Promise<void> {
  let next = 0
  const worker = async () => {
    for (let id = ids[next++]; id !== undefined; id = ids[next++]) await does(id)
  }
  await Promise.all(Array.from({ length: 64 }, worker))
}
