import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundledProgram } from '../program.ts'
import { root } from '../run.ts'
import { atStrength } from '../strength.ts'
import { openPurses } from './writer.ts'

const kills = atStrength({ moderate: 16, full: 50 })

interface Acknowledged {
  readonly id: string
  readonly sequence: number
  readonly key: string
  readonly total: number
}

let folder: string
let writer: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cqrs-es-crash-'))
  writer = await bundledProgram(join(root, 'test/crash/writer.ts'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test(`${kills} kills at random moments lose no acknowledged command and show no half commit`, async () => {
  const file = join(folder, 'purses.db')
  const acknowledged: Acknowledged[] = []
  for (let run = 1; run <= kills; run++) {
    acknowledged.push(...(await runAndKill(file, `run${run}`, run % 2 === 0)))
    await checkWhole(file)
  }
  await checkNothingLost(file, acknowledged)
  expect(acknowledged.length).toBeGreaterThanOrEqual(kills / 2)
})

test('four processes that write the same aggregates lose nothing and report only true results', async () => {
  const file = join(folder, 'shared.db')
  const rounds = atStrength({ moderate: 20, full: 40 })
  const said = await Promise.all(['w', 'x', 'y', 'z'].map((run) => runWriter(file, [run, String(rounds)])))
  expect(said.map(({ end }) => end)).toEqual([0, 0, 0, 0])
  const acknowledged = said.flatMap(({ lines }) => lines)
  expect(acknowledged).toHaveLength(4 * 3 * rounds)
  expect(new Set(acknowledged.map(({ id, sequence }) => `${id} ${sequence}`)).size).toBe(acknowledged.length)
  await checkWhole(file)
  await checkNothingLost(file, acknowledged)
})

/** Kills a writer some time after its first word or its first acknowledged command, and returns what it said was done. */
async function runAndKill(file: string, run: string, afterOne: boolean): Promise<readonly Acknowledged[]> {
  const killSoon = (child: ChildProcess) => setTimeout(() => child.kill('SIGKILL'), Math.random() * 120)
  const { lines, end } = await runWriter(file, [run], killSoon, afterOne ? /^\w+ \d+ / : /^ready$/)
  expect(end).toBe('SIGKILL')
  return lines
}

/** Runs a writer to its end, and returns how it ended and what it said was done. */
async function runWriter(
  file: string,
  args: readonly string[],
  onSign: (child: ChildProcess) => void = () => {},
  sign = /^ready$/,
) {
  const child = spawn(process.execPath, [writer, file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal)),
  )
  const lines: Acknowledged[] = []
  let isSeen = false
  for await (const line of createInterface({ input: child.stdout })) {
    if (!isSeen && sign.test(line)) onSign(child)
    isSeen ||= sign.test(line)
    const [id, sequence, key, total] = line.split(' ')
    if (id !== undefined && key !== undefined && total !== undefined)
      lines.push({ id, sequence: Number(sequence), key, total: Number(total) })
  }
  return { lines, end: await ended }
}

/** What is in the file is whole: events in pairs, the view and the state as the events make them, a key for each commit. */
async function checkWhole(file: string): Promise<void> {
  const { database, store, app } = openPurses(file)
  const { items } = await app.aggregates.purse.ids()
  for (const id of items) {
    let total = 0
    let fills = 0
    let sequence = 0
    let commitId = ''
    for await (const event of app.aggregates.purse.events(id)) {
      expect(event.sequence).toBe(++sequence)
      if (event.type === 'Filled') {
        total += event.data.by
        fills += 1
        commitId = event.commitId
      } else {
        expect(event).toMatchObject({ commitId, data: { total } })
      }
    }
    expect(sequence).toBe(fills * 2)
    expect(await app.aggregates.purse.load(id)).toEqual({ state: { total, counted: total }, sequence })
    expect((await app.views.purses.load(id))?.view).toEqual({ total, fills })
    expect((await app.views.purses.find({ total })).items.map((row) => row.id)).toContain(id)
    const page = await store.readAggregate({ aggregateType: 'purse', aggregateId: id, after: 0, snapshot: { stateVersion: '1' } })
    if (sequence >= 4) expect(page.snapshot?.sequence).toBeGreaterThanOrEqual(sequence - 2)
  }
  database.close()
}

async function checkNothingLost(file: string, acknowledged: readonly Acknowledged[]): Promise<void> {
  const { database, store, app } = openPurses(file)
  for (const { id, sequence, key, total } of acknowledged) {
    const stored = await store.readKey({ aggregateType: 'purse', aggregateId: id, idempotencyKey: key })
    expect(stored).toMatchObject({ firstSequence: sequence - 1, lastSequence: sequence })
    expect((await app.aggregates.purse.load(id, { asOf: sequence })).state.total).toBe(total)
  }
  database.close()
}
