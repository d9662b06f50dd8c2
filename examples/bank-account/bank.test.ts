import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApp } from 'cqrs-es'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { launch as launchProgram } from '../../test/launch.ts'
import { bundledProgram } from '../../test/program.ts'
import { root } from '../../test/run.ts'
import { freshDatabase } from '../../test/servers/fresh.ts'
import { unselected } from '../../test/servers/stores.ts'
import { atStrength } from '../../test/strength.ts'
import { bankAccount } from './bank-account.ts'
import { cityServices } from './services.ts'
import { postgres, sqlite } from './stores.ts'

const programs = {
  'bank.ts': await bundledProgram(join(root, 'examples/bank-account/bank.ts')),
  'server.ts': await bundledProgram(join(root, 'examples/bank-account/server.ts')),
}

let folder: string
let children: ChildProcess[] = []
let env: Record<string, string>

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bank-'))
  env = { BANK_FILE: join(folder, 'bank.db'), PORT: '0' }
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  children = []
  rmSync(folder, { recursive: true })
})

describe.each(['sqlite', 'postgres'] as const)('an open bank on %s', (store) => {
  it.skipIf(unselected(store))('every answer is right while views are rebuilt repeatedly', async () => {
    if (store === 'postgres') env = { STORE: store, POSTGRES_URL: await freshDatabase(store), PORT: '0' }
    const server = await openServer()
    const load = launch(
      'bank.ts',
      'load',
      '--url',
      server.url,
      '--seconds',
      String(atStrength({ moderate: 3, full: 12 })),
      '--rate',
      '60',
    )
    const rebuilt: string[] = []
    while (!load.isOver()) {
      const rebuild = launch('bank.ts', 'rebuild', '--view', rebuilt.length % 3 === 2 ? 'days' : 'accounts')
      const { code, out, err } = await rebuild.end
      expect({ code, err }).toEqual({ code: 0, err: '' })
      rebuilt.push(out)
    }
    expect(await load.end).toEqual({ code: 0, err: '', out: expect.stringMatching(/All right: .* not one wrong\.\n$/) })
    expect(rebuilt.at(-1)).toMatch(/^ {2}[\d,]+ of [\d,]+ events \(100 %\) .*done$/m)
    server.child.kill('SIGTERM')
    expect(await server.end).toMatchObject({ code: 0, err: '', out: expect.stringContaining('The bank is closed.') })
  })

  it.skipIf(unselected(store))('an interrupted rebuild resumes', async () => {
    if (store === 'postgres') env = { STORE: store, POSTGRES_URL: await freshDatabase(store), PORT: '0' }
    // Enough events for a signal to arrive before the end, on fast and on busy machines.
    const accounts = atStrength({ moderate: 6_000, full: 24_000 }) / (store === 'sqlite' ? 1 : 2)
    await fill(store, accounts)
    const breakOff = async () => {
      const first = launch('bank.ts', 'rebuild')
      await first.says(' events (')
      first.child.kill('SIGINT')
      return first.end
    }
    let first = await breakOff()
    // The rebuild may end before the signal arrives.
    while (first.code === 0) first = await breakOff()
    const { code, out, err } = first
    expect({ code, err }).toEqual({ code: 130, err: '' })
    const [, brokenOff] = /Interrupted after ([\d,]+) events\./.exec(out) ?? []
    const second = await launch('bank.ts', 'rebuild').end
    expect(second.code).toBe(0)
    const [, firstSeen] = /^ {2}([\d,]+) of /m.exec(second.out) ?? []
    expect(numberOf(firstSeen)).toBeGreaterThanOrEqual(numberOf(brokenOff))
    expect(numberOf(brokenOff)).toBeGreaterThan(0)
    const server = await openServer()
    const answer = await fetch(`${server.url}/views/accounts/acct-${accounts - 1}`)
    expect(await answer.json()).toMatchObject({ view: { owner: 'ann', balance: 7 } })
  })
})

describe('npm run bank -- load', () => {
  let liar: Server | undefined
  afterEach(() => {
    liar?.closeAllConnections()
    liar?.close()
  })

  it.each<[string, string, RegExp, [RegExp, string], RegExp]>([
    [
      'an account',
      'GET',
      /^\/views\/accounts\//,
      [/"balance":\d+/, '"balance":1000000'],
      /^ {2}GET \/views\/accounts\/\S+ said \{.*"balance":1000000,.*\}, and it must be \{/m,
    ],
    [
      'the accounts of an owner',
      'GET',
      /^\/views\/accounts\?owner=/,
      [/"sequence":\d+/, '"sequence":1000000'],
      /^ {2}GET \/views\/accounts\?owner=\S+ said \[.*"sequence":1000000,.*\], and it must be \[/m,
    ],
    [
      'a command',
      'POST',
      /\/DepositMoney$/,
      [/"sequence":\d+/, '"sequence":1000000'],
      /^ {2}\S+: a command was acknowledged as event 1000000, not \d+$/m,
    ],
  ])('load exits with 1 at the first wrong answer to %s and shows it', async (_, method, path, [truth, lie], message) => {
    const server = await openServer()
    let asked = 0
    liar = createServer(async (request, response) => {
      const body: Buffer[] = []
      for await (const part of request) body.push(part as Buffer)
      const init = { method: request.method ?? '', headers: request.headers as Record<string, string> }
      const answer = await fetch(
        `${server.url}${request.url}`,
        body.length === 0 ? init : { ...init, body: Buffer.concat(body) },
      ).catch(() => {})
      if (answer === undefined) return void response.destroy()
      const text = await answer.text()
      const lies = request.method === method && path.test(request.url ?? '') && ++asked === 10
      response.writeHead(answer.status).end(lies ? text.replace(truth, lie) : text)
    }).listen(0, '127.0.0.1')
    await once(liar, 'listening')
    const url = `http://127.0.0.1:${(liar.address() as AddressInfo).port}`
    const { code, err } = await launch('bank.ts', 'load', '--url', url, '--seconds', '20').end
    expect(code).toBe(1)
    expect(err).toMatch(/^WRONG ANSWER after /)
    expect(err).toMatch(message)
  })

  it.each([
    [['load', '--rate', 'fast'], '--rate must be a number greater than 0'],
    [['rebuild', '--view', 'x'], '--view must be accounts or days'],
    [['rebuild', '--store', 'oracle'], 'STORE must be one of'],
    [['rebuild', '--store', 'postgres'], 'POSTGRES_URL must say where the bank is.'],
    [['load', '--colour'], "Unknown option '--colour'"],
  ])('%j exits with 2 and says what is wrong', async (args, message) => {
    env = { ...env, POSTGRES_URL: '' }
    const { code, err } = await launch('bank.ts', ...args).end
    expect(code).toBe(2)
    expect(err).toContain(message)
    expect(err).not.toMatch(/^\s+at /m)
  })
})

const numberOf = (text = '') => Number(text.replaceAll(',', ''))

/** Without views: the rebuild makes their rows. */
async function fill(store: 'sqlite' | 'postgres', accounts: number): Promise<void> {
  const opened = await (store === 'sqlite' ? sqlite(env.BANK_FILE as string) : postgres(env.POSTGRES_URL as string))()
  const app = createApp({ store: opened.store, aggregates: { account: bankAccount }, services: { account: cityServices() } })
  const { account } = app.aggregates
  const open = async (id: string) => {
    await account.execute(id, { type: 'OpenAccount', data: { owner: 'ann' } })
    await account.execute(id, { type: 'DepositMoney', data: { amount: 7 } })
  }
  for (let i = 0; i < accounts; i += 1_000) await Promise.all(Array.from({ length: 1_000 }, (_, j) => open(`acct-${i + j}`)))
  await app.close()
  await opened.close()
}

async function openServer() {
  const server = launch('server.ts')
  const out = await server.says('accounts?owner=bob')
  return { ...server, url: /http:\/\/127\.0\.0\.1:\d+/.exec(out)?.[0] ?? '' }
}

function launch(script: keyof typeof programs, ...args: string[]) {
  const launched = launchProgram([programs[script], ...args], env)
  children.push(launched.child)
  return {
    ...launched,
    isOver: () => launched.child.exitCode !== null,
    /** Resolves when all of these have been printed. */
    says: (...parts: string[]) => launched.says((out) => parts.every((part) => out.includes(part))),
  }
}
