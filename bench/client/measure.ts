/**
 * Work of the question `client` in its own process: measures the trees on a store, in turns, and
 * prints the costs of each as a JSON line. Options: `--store instant --callers 64 --trees
 * /here,/there`.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { figure } from '../report.ts'
import type { sender } from './sender.ts'

/** Costs of one command in a tree, part by part. */
export interface Costs {
  readonly cpuMicroseconds: readonly number[]
  /** Median of many intervals. */
  readonly bytes: number
}

type Send = Awaited<ReturnType<typeof sender>>

const warmUp = 40_000
/** Commands of a part: so many that each part has its share of collections. */
const part = 5_000
const parts = 20
/** Commands between two looks at the heap: so few that most intervals have no collection. */
const interval = 256
const intervals = 100

const text = { type: 'string', default: '' } as const
const { values: asked } = parseArgs({ options: { store: text, callers: text, trees: text } })
const trees: { readonly send: Send; readonly cpuMicroseconds: number[] }[] = []
for (const folder of asked.trees.split(',')) {
  const own = (await import(join(folder, 'bench/client/sender.ts'))) as { readonly sender: typeof sender }
  trees.push({ send: await own.sender(asked.store as never, Number(asked.callers)), cpuMicroseconds: [] })
}
for (const { send } of trees) await send(warmUp)
for (let i = 0; i < parts; i++)
  for (const { send, cpuMicroseconds } of i % 2 === 0 ? trees : [...trees].reverse()) cpuMicroseconds.push(await cpuOfOne(send))
const costs: Costs[] = []
for (const { send, cpuMicroseconds } of trees) costs.push({ cpuMicroseconds, bytes: await bytesOfOne(send) })
console.log(JSON.stringify(costs))
process.exit()

/** Processor time of all threads of the process, so collections count. */
async function cpuOfOne(send: Send): Promise<number> {
  const before = process.cpuUsage()
  await send(part)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / part
}

/** A collection makes the heap smaller: such an interval does not count. */
async function bytesOfOne(send: Send): Promise<number> {
  const grown: number[] = []
  for (let i = 0; i < intervals; i++) {
    const { heapUsed } = process.memoryUsage()
    await send(interval)
    grown.push((process.memoryUsage().heapUsed - heapUsed) / interval)
  }
  return figure(grown.filter((bytes) => bytes > 0)).median
}
