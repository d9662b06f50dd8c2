import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundledProgram } from '../program.ts'
import { root } from '../run.ts'
import { atStrength } from '../strength.ts'
import { count } from '../support/counter.ts'
import { openPublisher } from './publishing/program.ts'

const kills = atStrength({ moderate: 5, full: 50 })
const ids = ['a', 'b', 'c', 'd', 'e']
const events = kills * 12

let folder: string
let program: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cqrs-es-publisher-'))
  program = await bundledProgram(join(root, 'test/crash/publishing/program.ts'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test('a publisher that is killed sends every event, under the same ids and in order', async () => {
  const [database, messages] = [join(folder, 'database'), join(folder, 'messages')]
  await writeFile(messages, '')
  const { store, app } = openPublisher(database, messages)
  await store.createSchema()
  for (let i = 1; i <= events; i++) for (const id of ids) await app.aggregates.counter.execute(id, count(i))
  for (let n = 0; n < kills; n++) {
    const child = spawn(process.execPath, [program, database, messages], {
      env: { ...process.env, PUBLISHES: '1' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 100))
    expect(child.exitCode).toBe(null)
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  while (!(await app.drain()).caughtUp) await new Promise((resolve) => setTimeout(resolve, 20))
  const sent = (await readFile(messages, 'utf8')).trim().split('\n')
  const first = [...new Set(sent)]
  expect(first.length).toBe(ids.length * events)
  for (const id of ids)
    expect(first.filter((one) => one.startsWith(`counter/${id}/`))).toEqual(
      Array.from({ length: events }, (_, i) => `counter/${id}/${i + 1}`),
    )
  console.log(`${kills} kills: ${sent.length - first.length} of ${sent.length} messages were repeated.`)
  await app.close()
})
