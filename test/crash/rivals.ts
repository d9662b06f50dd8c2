/**
 * One of several processes that send random commands to the same few accounts, many at once, and print what became of each. Arguments as JSON: see `Task`.
 */
import { type ConflictError, createApp, defineAggregate, isCqrsError, reject, typed } from 'cqrs-es'
import { crashStores } from './servers.ts'

export interface Task {
  readonly store: string
  readonly port: number
  readonly rival: number
  readonly commands: number
  readonly accounts: number
  readonly cache: boolean
  readonly batching: boolean
  readonly seed: number
}

/**
 * What became of a command. `from`: how many events this process had seen of the account when it sent it. Times are nanoseconds of the machine's one monotonic clock.
 */
export type Report = {
  readonly id: string
  readonly account: string
  readonly by: number
  readonly from: number
  readonly sentAt: number
  readonly answeredAt: number
} & (
  | { readonly outcome: 'accepted'; readonly sequence: number; readonly total: number; readonly replayed: boolean }
  | { readonly outcome: 'refused'; readonly sequence: number; readonly total: number }
  | { readonly outcome: 'conflict'; readonly expected: number | undefined; readonly actual: number | undefined }
)

export const purse = defineAggregate({
  type: 'purse',
  events: { Changed: typed<{ id: string; by: number; total: number }>() },
  commands: { Change: typed<{ id: string; by: number }>() },
  initialState: () => ({ total: 0 }),
  snapshots: { every: 20 },
}).implement({
  handle: {
    Change: ({ total }, { id, by }, { sequence }) =>
      total + by < 0 ? reject('too-little', { total, sequence }) : { type: 'Changed', data: { id, by, total: total + by } },
  },
  apply: { Changed: (_, { total }) => ({ total }) },
})

async function play({ store: name, port, rival, commands, accounts, cache, batching, seed }: Task) {
  const { store, close } = crashStores.find((one) => one.name === name)?.connect(port, 30_000) ?? fail(`no store '${name}'`)
  const app = createApp({
    store,
    aggregates: { purse },
    maxAttempts: 200,
    ...(cache ? {} : { cache: false }),
    ...(batching ? {} : { batching: false }),
  })
  const random = randomOf(seed)
  const seen = new Map<string, number>()
  let next = 0
  const sendNext = async () => {
    for (let i = next++; i < commands; i = next++) {
      const account = `hot-${Math.floor(random() * accounts)}`
      const by = Math.floor(random() * 31) - 18
      const id = `${rival}-${i}`
      const from = seen.get(account) ?? 0
      const options = random() < 0.1 ? { expectedSequence: from } : random() < 0.2 ? { idempotencyKey: id } : {}
      const sentAt = now()
      const told = () => ({ id, account, by, from, sentAt, answeredAt: now() })
      try {
        const result = await app.aggregates.purse.execute(account, { type: 'Change', data: { id, by } }, options)
        const sequence = result.ok ? result.sequence : result.details.sequence
        seen.set(account, Math.max(seen.get(account) ?? 0, sequence))
        print(
          result.ok
            ? { ...told(), outcome: 'accepted', sequence, total: result.state.total, replayed: result.replayed }
            : { ...told(), outcome: 'refused', ...result.details },
        )
      } catch (error) {
        if (!isCqrsError(error, 'CONFLICT') || !('expectedSequence' in options)) throw error
        const { expectedSequence, actualSequence } = error as ConflictError
        print({ ...told(), outcome: 'conflict', expected: expectedSequence, actual: actualSequence })
      }
    }
  }
  await Promise.all(Array.from({ length: 24 }, sendNext))
  await app.close()
  await close()
}

const now = () => Number(process.hrtime.bigint())

const print = (report: Report) => console.log(JSON.stringify(report))

function fail(message: string): never {
  throw new Error(message)
}

/** Mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

if (import.meta.filename === process.argv[1]) await play(JSON.parse(process.argv[2] ?? ''))
