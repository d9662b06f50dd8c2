import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import Database from 'libsql'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { bundledProgram } from '../../test/program.ts'
import { root, run } from '../../test/run.ts'
import { freshDatabase } from '../../test/servers/fresh.ts'
import { unselected } from '../../test/servers/stores.ts'

/** A reader's folder: all chapters use the files that the chapters before have left there. */
const folder = mkdtempSync(join(tmpdir(), 'tutorial-'))
const children: ChildProcess[] = []

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('a reader of the tutorial', () => {
  test.each(['02-commands', '03-storage', '04-views', '05-reactions'])(
    'sees the output that the page of chapter %s shows',
    async (chapter) => {
      const program = `examples/tutorial/${chapter}/main.ts`
      const outputs = outputsOf(pageOf(chapter), program)
      expect(outputs.length).toBeGreaterThan(0)
      for (const expected of outputs) {
        const { code, output } = await run(
          process.execPath,
          [await bundledProgram(join(root, program))],
          { cwd: folder },
        )
        expect({ code, output }).toEqual({ code: 0, output: expected })
      }
    },
  )

  test('receives the answers that the page of chapter 6 shows', async () => {
    const server = await start('06-http', { PORT: '0' })
    await tryCurls('06-http', { 3000: server.port })
    expect(await server.stop()).toBe(0)
    expect(server.output()).toContain('Mail to ann@example.com: Thank you for order-4.')
  })

  test('chapter 6 stores the events that the old file of chapter 7 contains', () => {
    const old = join(folder, 'old.sqlite')
    copyFileSync(join(root, 'examples/tutorial/07-change/old.sqlite'), old)
    expect(eventsIn(join(folder, 'orders.db'))).toEqual(eventsIn(old))
  })

  test('receives the answers of both versions that the page of chapter 7 shows', async () => {
    const [before, after] = [
      await start('06-http', { PORT: '0' }),
      await start('07-change', { PORT: '0' }),
    ]
    await tryCurls('07-change', { 3000: before.port, 3001: after.port })
    expect([await before.stop(), await after.stop()]).toEqual([0, 0])
  })

  test.skipIf(unselected('postgres'))(
    'runs the shop of chapter 8 on Postgres, and stops it cleanly',
    async () => {
      const env = { DATABASE_URL: await freshDatabase('postgres') }
      const server = await start('08-deployment', { ...env, PORT: '0' })
      await tryCurls('08-deployment', { 3000: server.port })
      const other = await start('08-deployment', { ...env, PORT: '0' })
      expect(await server.stop()).toBe(0)
      expect(server.output()).toMatch(/The shop is closed\.\n$/)
      expect(await curl(`curl -s localhost:${other.port}/health`)).toContain('mails')
      expect(await other.stop()).toBe(0)
    },
  )
})

/** Runs the `curl` commands of a page in order, and compares each answer with the fence below. `…` is any text. */
async function tryCurls(chapter: string, ports: Readonly<Record<number, string>>) {
  const fences = [
    ...pageOf(chapter).matchAll(/^```sh\n(curl [\s\S]*?)^```\n\n```text\n(.*)\n```$/gm),
  ]
  expect(fences.length).toBeGreaterThan(0)
  for (const [, command = '', expected = ''] of fences) {
    const line = command.replace(/localhost:(\d+)/, (_, port) => `localhost:${ports[port]}`)
    const pattern = new RegExp(`^${expected.split('…').map(escaped).join('.*')}$`, 's')
    // Only reads are repeated, until an async view has caught up.
    if (line.includes('--json')) expect(await curl(line)).toMatch(pattern)
    else await expect.poll(() => curl(line), { timeout: 20_000 }).toMatch(pattern)
  }
}

const curl = async (command: string) => (await promisify(execFile)('sh', ['-c', command])).stdout

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** The texts below the comments that name this program. */
const outputsOf = (page: string, program: string) =>
  page
    .split(`<!-- output of ${program} -->\n\`\`\`text\n`)
    .slice(1)
    .map((rest) => rest.slice(0, rest.indexOf('```')))

const pageOf = (chapter: string) => readFileSync(join(root, `docs/tutorial/${chapter}.md`), 'utf8')

/** Starts the server of a chapter, and waits until it is open. */
async function start(chapter: string, env: Readonly<Record<string, string>>) {
  const program = await bundledProgram(join(root, `examples/tutorial/${chapter}/server.ts`))
  const child = spawn(process.execPath, [program], { cwd: folder, env: { ...process.env, ...env } })
  children.push(child)
  const closed = once(child, 'close')
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part) => (text += part))
  while (!text.includes('The shop is open')) {
    await Promise.race([once(child.stdout, 'data'), closed])
    if (child.exitCode !== null) throw new Error(text)
  }
  return {
    port: /localhost:(\d+)/.exec(text)?.[1] ?? '',
    output: () => text,
    async stop(): Promise<number> {
      child.kill('SIGTERM')
      const [code] = await closed
      return code
    },
  }
}

/** All events of a file, without what differs from run to run. */
function eventsIn(file: string): unknown {
  const db = new Database(file)
  const columns = 'aggregate_type, aggregate_id, sequence, event_type, event_version, payload'
  const events = db.prepare(`SELECT ${columns} FROM events ORDER BY 1, 2, 3`).all()
  db.close()
  return events
}
