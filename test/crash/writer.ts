import { createApp, defineAggregate, defineView, isCqrsError, typed } from 'cqrs-es'
import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'

/** Each command stores two events that belong together, a view row, an idempotency key and, now and then, a snapshot. */
export const purse = defineAggregate({
  type: 'purse',
  events: { Filled: typed<{ by: number }>(), Counted: typed<{ total: number }>() },
  commands: { Fill: typed<{ by: number }>() },
  initialState: () => ({ total: 0, counted: 0 }),
  snapshots: { every: 3 },
}).implement({
  handle: {
    Fill: ({ total }, { by }) => [
      { type: 'Filled', data: { by } },
      { type: 'Counted', data: { total: total + by } },
    ],
  },
  apply: {
    Filled: (state, { by }) => ({ ...state, total: state.total + by }),
    Counted: (state, { total }) => ({ ...state, counted: total }),
  },
})

export const purses = defineView({
  name: 'purses',
  aggregates: [purse],
  initialView: () => ({ total: 0, fills: 0 }),
  update: {
    Filled: (view, { data }) => ({ total: view.total + data.by, fills: view.fills + 1 }),
  },
  indexes: ['total'],
})

export function openPurses(file: string) {
  const database = new Database(file)
  // A writer that is starved holds up the others.
  const store = sqliteStore(database, { busyTimeoutMs: 60_000 })
  return { database, store, app: createApp({ store, aggregates: { purse }, views: { purses } }) }
}

/** Fills purses until it is killed, or `rounds` times each, and says so of each fill only once it was acknowledged. */
async function main(file: string, run: string, rounds: number): Promise<void> {
  const { database, store, app } = openPurses(file)
  await store.createSchema()
  process.stdout.write('ready\n')
  await Promise.all(
    ['a', 'b', 'c'].map(async (id) => {
      for (let i = 1; i <= rounds; i++) {
        const idempotencyKey = `${run}-${id}-${i}`
        const result = await fill(app, id, i, idempotencyKey)
        if (result.ok) process.stdout.write(`${id} ${result.sequence} ${idempotencyKey} ${result.state.total}\n`)
        await new Promise(setImmediate)
      }
    }),
  )
  database.close()
}

/** Other processes may be first more often than `execute` tries by itself. */
async function fill({ aggregates }: ReturnType<typeof openPurses>['app'], id: string, by: number, idempotencyKey: string) {
  for (;;) {
    try {
      return await aggregates.purse.execute(id, { type: 'Fill', data: { by } }, { idempotencyKey })
    } catch (error) {
      if (!isCqrsError(error, 'CONFLICT')) throw error
    }
  }
}

const [, , file, run, rounds] = process.argv
if (file !== undefined && run !== undefined) await main(file, run, Number(rounds ?? Number.POSITIVE_INFINITY))
