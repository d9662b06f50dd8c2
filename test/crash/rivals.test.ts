import { fileURLToPath } from 'node:url'
import { createApp } from 'cqrs-es'
import { describe, expect, test } from 'vitest'
import { bundledProgram } from '../program.ts'
import { run } from '../run.ts'
import { unselected } from '../servers/stores.ts'
import { atStrength, everySecond } from '../strength.ts'
import { collect } from '../support/async.ts'
import { purse, type Report, type Task } from './rivals.ts'
import { crashStores } from './servers.ts'

const program = fileURLToPath(new URL('rivals.ts', import.meta.url))
const rivals = [1, 2, 3, 4]
const accounts = 8
const commands = atStrength({ moderate: 100, full: 250 })

const modes = [
  { cache: true, batching: true },
  { cache: false, batching: false },
]

/** What is tested here is the core: by day Postgres with both, each other server with one of them. */
const modesOf = (store: string) => (store === 'postgres' ? modes : everySecond(modes, store === 'mysql' ? 0 : 1))

/** MySQL through one of its drivers: what is tested here is the core. */
const stores = crashStores.filter(({ name }) => !/mariadb/.test(name))

describe.each(stores)(
  'four processes that send commands to the same few accounts on $name',
  ({ store, name, startServer, connect }) => {
    test.skipIf(unselected(store)).each(modesOf(store))(
      'each caller receives a true answer, cache $cache, batching $batching',
      async (mode) => {
        const server = await startServer({ durable: false })
        try {
          const opened = connect(server.port)
          await opened.store.createSchema()
          const reports = (
            await Promise.all(
              rivals.map((rival) =>
                play({ store: name, port: server.port, rival, commands, accounts, ...mode, seed: rival * 7 }),
              ),
            )
          ).flat()
          expect(reports.length).toBe(rivals.length * commands)
          await check(createApp({ store: opened.store, aggregates: { purse } }).aggregates.purse, reports)
          await opened.close()
        } finally {
          await server.stop()
        }
      },
    )
  },
)

async function play(task: Task): Promise<Report[]> {
  const env = { NODE_NO_WARNINGS: '1' }
  const { code, output } = await run(process.execPath, [await bundledProgram(program), JSON.stringify(task)], { env })
  if (code !== 0) throw new Error(output)
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

/** Holds every answer against the history as it is in the end. */
async function check(
  purses: { events(id: string): AsyncIterable<{ readonly data: { id: string; by: number; total: number } }> },
  reports: readonly Report[],
) {
  const histories = new Map<string, { id: string; by: number; total: number }[]>()
  for (let i = 0; i < accounts; i++)
    histories.set(
      `hot-${i}`,
      (await collect(purses.events(`hot-${i}`))).map(({ data }) => data),
    )
  const stored = [...histories.values()].flat().map(({ id }) => id)
  expect(new Set(stored).size, 'commands stored once').toBe(stored.length)
  expect([...stored].sort(), 'commands stored').toEqual(
    reports
      .filter(({ outcome }) => outcome === 'accepted')
      .map(({ id }) => id)
      .sort(),
  )
  for (const [account, history] of histories) {
    let total = 0
    for (const event of history) {
      total += event.by
      expect(event.total, `total of ${account} after ${event.id}`).toBe(total)
      expect(total).toBeGreaterThanOrEqual(0)
    }
  }
  const answers = new Map(reports.map(({ id, answeredAt }) => [id, answeredAt]))
  for (const report of reports) {
    const history = histories.get(report.account) ?? []
    const totalAt = (sequence: number) => (sequence === 0 ? 0 : history[sequence - 1]?.total)
    if (report.outcome === 'conflict') {
      expect(report.expected, `${report.id} expected what it had seen`).toBe(report.from)
      expect(report.actual ?? report.from + 1, `${report.id} met something newer`).toBeGreaterThan(report.from)
      continue
    }
    expect(report.sequence, `${report.id} was not decided on an older state than its caller knew`).toBeGreaterThanOrEqual(
      report.from,
    )
    expect(totalAt(report.sequence), `${report.id} was told a state that was`).toBe(report.total)
    if (report.outcome === 'accepted')
      expect(history[report.sequence - 1]?.id, `${report.id} stands where it was told`).toBe(report.id)
    else expectFresh(report, history, answers)
    if (report.outcome === 'refused') expect(report.total + report.by, `${report.id} was refused for a reason`).toBeLessThan(0)
  }
  expect(reports.filter(({ outcome }) => outcome === 'refused').length).toBeGreaterThan(0)
}

/** No event that somebody knew of when the command was sent may be missing from what it was decided on. */
function expectFresh(
  report: Report & { readonly sequence: number },
  history: readonly { readonly id: string }[],
  answers: ReadonlyMap<string, number>,
) {
  const missed = history.slice(report.sequence).find(({ id }) => (answers.get(id) ?? Number.POSITIVE_INFINITY) < report.sentAt)
  expect(missed, `${report.id} was refused on a state from before it was sent`).toBeUndefined()
}
