import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { memoryStore } from 'cqrs-es/memory'
import Database from 'libsql'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { patienceMs } from '../../test/strength.ts'
import { bankApp } from './app.ts'
import { bankHandler } from './http.ts'
import { listen } from './listen.ts'
import { sqlite } from './stores.ts'

let folder: string
let file: string
let server: Awaited<ReturnType<typeof listen>>
/** Errors that the server logged. */
let logged: ReturnType<typeof vi.spyOn>

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bank-'))
  file = join(folder, 'new', 'bank.db')
  logged = vi.spyOn(console, 'error').mockImplementation(() => {})
  server = await listen({ openStore: sqlite(file, { busyTimeoutMs: 50 }), port: 0 })
})

afterEach(async () => {
  await server.close()
  expect(logged).not.toHaveBeenCalled()
  logged.mockRestore()
  rmSync(folder, { recursive: true })
})

describe('a command', () => {
  it('a command returns what it stored', async () => {
    await open('acct-1')
    const { status, headers, body } = await deposit('acct-1', 200)
    expect([status, headers.get('content-type'), headers.get('etag')]).toEqual([200, 'application/json', '"2"'])
    expect(body).toMatchObject({ sequence: 2, replayed: false, state: { open: true, balance: 200, checks: [] } })
    expect(body.events).toMatchObject([{ type: 'MoneyDeposited', data: { amount: 200, balance: 200 }, aggregateId: 'acct-1' }])
    expect((await get('/account/acct-1/events?after=1')).body.items).toEqual(body.events)
  })

  it('a command stores time, uri and user agent of its request with the events', async () => {
    const before = new Date().toISOString()
    await post('/account/acct-1/OpenAccount', { owner: 'ann' }, { 'User-Agent': 'phone/7' })
    const [{ metadata }] = (await get('/account/acct-1/events')).body.items
    expect(metadata).toEqual({
      time: expect.any(String),
      uri: '/account/acct-1/OpenAccount',
      userAgent: 'phone/7',
    })
    expect(metadata.time >= before && metadata.time <= new Date().toISOString()).toBe(true)
  })

  it('a rejected command is 422 with its reason and details', async () => {
    await open('acct-1')
    await deposit('acct-1', 200)
    const answer = await post('/account/acct-1/WriteCheck', { check: '1170', amount: 500 })
    expectProblem(answer, 422)
    expect(answer.body).toMatchObject({ reason: 'insufficient-funds', details: { balance: 200, missing: 300 } })
    expect((await get('/account/acct-1')).body.sequence).toBe(2)
  })

  it.each([
    ['WithdrawCash', { atmId: 'ATM-7', amount: 50 }, 'atm-refused', { atmId: 'ATM-7', because: 'it is out of order' }],
    ['WriteCheck', { check: '1013', amount: 50 }, 'check-refused', { check: '1013', because: 'it was reported stolen' }],
  ])('a command that an outside service refuses is 422: %s', async (command, data, reason, details) => {
    await open('acct-1')
    await deposit('acct-1', 200)
    const { status, body } = await post(`/account/acct-1/${command}`, data)
    expect([status, body.reason, body.details]).toEqual([422, reason, details])
  })

  it('an ATM pays for two accounts that use the same key', async () => {
    const withdraw = (id: string, headers = {}) => post(`/account/${id}/WithdrawCash`, { atmId: 'ATM-1', amount: 4_000 }, headers)
    for (const id of ['acct-1', 'acct-2']) {
      await open(id)
      await deposit(id, 8_000)
      expect((await withdraw(id, { 'Idempotency-Key': 'k1' })).status).toBe(200)
    }
    expect((await withdraw('acct-2')).body.details).toEqual({ atmId: 'ATM-1', because: 'it holds only 2000' })
  })

  it('a command over 64 kB is 413, with or without Content-Length', async () => {
    const body = JSON.stringify({ owner: 'x'.repeat(64 * 1024) })
    const headers = { 'Content-Type': 'application/json' }
    const announced: RequestInit = { method: 'POST', headers, body }
    const piecemeal: RequestInit & { duplex: 'half' } = { ...announced, body: new Blob([body]).stream(), duplex: 'half' }
    for (const init of [announced, piecemeal]) expectProblem(await request('/account/acct-1/OpenAccount', init), 413)
  })
})

describe('internal commands', () => {
  it.each([
    ['account', 'SendTransfer', { transfer: 't-1', to: 'acct-2', amount: 50 }],
    ['account', 'ReceiveTransfer', { transfer: 't-1', from: 'acct-2', amount: 50 }],
    ['account', 'TakeBackTransfer', { transfer: 't-1', amount: 50 }],
    ['transfer', 'CompleteTransfer', undefined],
    ['transfer', 'RefuseTransfer', { because: 'x' }],
    ['transfer', 'RefundTransfer', { because: 'x' }],
  ])('an internal command is not reachable: %s %s', async (aggregate, type, data) => {
    await open('one')
    await post('/transfer/one/RequestTransfer', { from: 'one', to: 'two', amount: 1 })
    expectProblem(await post(`/${aggregate}/one/${type}`, data), 404)
    expectProblem(await post(`/${aggregate}/one`, { type, data }), 400)
    const stored = [...(await get('/account/one/events')).body.items, ...(await get('/transfer/one/events')).body.items]
    expect(stored.filter(({ metadata }) => metadata.uri !== undefined).map((event) => event.type)).toEqual([
      'AccountOpened',
      'TransferRequested',
    ])
  })

  it('internal commands are not in the OpenAPI document', async () => {
    const { status, body } = await get('/openapi.json')
    expect([status, body.info.title, (await new Validator().validate(body)).errors]).toEqual([200, 'Bank account', undefined])
    const commands = Object.keys(body.paths).flatMap(
      (path) => /^\/(?:account|transfer)\/\{id\}\/(?!events)(\w+)$/.exec(path)?.[1] ?? [],
    )
    expect(commands).toEqual(['OpenAccount', 'DepositMoney', 'WithdrawCash', 'WriteCheck', 'CloseAccount', 'RequestTransfer'])
    expect(Object.keys(body.components.schemas)).not.toContain('account.SendTransfer')
  })
})

describe('an account', () => {
  it('the view of an account includes every command that was answered', async () => {
    await open('acct-1')
    await deposit('acct-1', 200)
    const { body } = await post('/account/acct-1/WriteCheck', { check: '1170', amount: 50 })
    const [{ recordedAt }] = body.events
    expect((await get('/views/accounts/acct-1')).body).toEqual({
      id: 'acct-1',
      view: {
        owner: 'ann',
        balance: 150,
        ledger: [
          { at: expect.any(String), entry: 'deposit', amount: 200, balance: 200 },
          { at: recordedAt, entry: 'check 1170', amount: -50, balance: 150 },
        ],
        checks: ['1170'],
        sequence: 3,
      },
      version: 3,
    })
  })

  it('an account is found by its owner', async () => {
    for (const id of ['acct-1', 'acct-2', 'acct-3']) await open(id)
    await open('acct-4', 'bob & söhne')
    const found = async (query: string) => (await get(`/views/accounts?${query}`)).body
    const first = await found('owner=ann&limit=2')
    const second = await found(`owner=ann&limit=2&after=${encodeURIComponent(first.next)}`)
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(['acct-1', 'acct-2', 'acct-3'])
    const bob = await found(`owner=${encodeURIComponent('bob & söhne')}`)
    expect(bob.items).toMatchObject([{ id: 'acct-4', view: { owner: 'bob & söhne', balance: 0 } }])
  })

  it('an account exists once it is opened', async () => {
    await deposit('acct-1', 5)
    for (const path of ['/account/acct-1', '/account/acct-1/events', '/views/accounts/acct-1'])
      expectProblem(await get(path), 404)
  })

  it.each(['a/b', 'a%2Fb', '%41', 'a?b#c&d=e', '🏦', 'docs', ' ', 'a\\b'])('an account id may be %j', async (id) => {
    const path = encodeURIComponent(id)
    expect((await open(path)).body.events[0].aggregateId).toBe(id)
    expect((await get(`/account/${path}`)).body.id).toBe(id)
    expect((await get(`/account/${path}/events`)).body.items[0].aggregateId).toBe(id)
    expect((await get(`/views/accounts/${path}`)).body.id).toBe(id)
  })

  it.each(['x'.repeat(256), '%00', '%E4', '%', '%zz'])('an account id cannot be %j', async (path) => {
    for (const { status, body } of [await open(path), await get(`/account/${path}`), await get(`/views/accounts/${path}`)])
      expect([status, body.code]).toEqual([400, 'VALIDATION'])
  })
})

describe('other paths and methods', () => {
  it.each(['/nothing', '/account/', '/accounts', '/views/account', '/account/acct-1/views'])(
    'an unknown path is 404: %s',
    async (path) => {
      expectProblem(await get(path), 404)
    },
  )

  it('a method that a path does not support is 405', async () => {
    const answer = await request('/account/acct-1', { method: 'DELETE' })
    expectProblem(answer, 405)
    expect(answer.headers.get('allow')).toBe('GET, HEAD, POST')
  })
})

describe('failures', () => {
  afterEach(() => logged.mockClear())

  it('the server answers 503 while another process locks the file and recovers afterwards', async () => {
    await open('acct-1')
    const other = new Database(file)
    other.exec('BEGIN IMMEDIATE')
    const busy = await deposit('acct-1', 5)
    expectProblem(busy, 503)
    expect(busy.body.code).toBe('STORE_BUSY')
    expect(busy.headers.get('retry-after')).toBe('1')
    expect((await get('/views/accounts/acct-1')).status).toBe(200)
    other.exec('ROLLBACK')
    other.close()
    expect((await deposit('acct-1', 5)).body.sequence).toBe(2)
  })

  it('an internal error is 500, reveals nothing and is logged', async () => {
    await open('acct-1')
    const other = new Database(file)
    other.exec(`UPDATE events SET event_type = 'AccountFrozen'`)
    other.close()
    const answer = await get('/account/acct-1/events')
    expectProblem(answer, 500)
    expect(answer.body).toEqual({
      title: 'Internal Server Error',
      status: 500,
      detail: 'The server failed. The error was reported.',
      code: 'DESERIALIZATION',
    })
    expect(logged).toHaveBeenCalledOnce()
    expect(String(logged.mock.calls[0]?.[0])).toContain('AccountFrozen')
  })
})

describe('the file', () => {
  it('a new server continues from the file', async () => {
    await open('acct-1')
    await deposit('acct-1', 200, { 'Idempotency-Key': 'k1' })
    const before = await get('/views/accounts/acct-1')
    await server.close()
    server = await listen({ openStore: sqlite(file), port: 0 })
    expect((await get('/views/accounts/acct-1')).body).toEqual(before.body)
    expect((await deposit('acct-1', 200, { 'Idempotency-Key': 'k1' })).body.replayed).toBe(true)
    expect((await deposit('acct-1', 1)).body.events[0].data.balance).toBe(201)
  })

  it('the file is in WAL mode', () => {
    const other = new Database(file)
    expect(other.prepare('PRAGMA journal_mode').all()).toEqual([expect.objectContaining({ journal_mode: 'wal' })])
    other.close()
  })

  it('a file that is not a SQLite database is refused', async () => {
    const text = join(folder, 'letter.txt')
    writeFileSync(text, 'Dear bank, '.repeat(1_000))
    await expect(listen({ openStore: sqlite(text), port: 0 })).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  })

  it('the file is closed when the port is taken', async () => {
    const port = Number(new URL(server.url).port)
    await expect(listen({ openStore: sqlite(join(folder, 'other.db')), port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })
})

describe('transfers', () => {
  const request = (data: object) => post('/transfer/t-1/RequestTransfer', data)

  it('a transfer is accepted at once and completed soon', async () => {
    await open('acct-1')
    await deposit('acct-1', 200)
    await open('acct-2')
    const order = { from: 'acct-1', to: 'acct-2', amount: 50 }
    expect((await request(order)).status).toBe(200)
    await vi.waitFor(
      async () => expect((await get('/transfer/t-1')).body.state).toEqual({ ...order, status: 'completed' }),
      patienceMs,
    )
    expect((await get('/views/accounts/acct-1')).body.view).toMatchObject({ balance: 150, sequence: 3 })
    expect((await get('/views/accounts/acct-2')).body.view.ledger).toMatchObject([
      { entry: 'transfer from acct-1', amount: 50, balance: 50 },
    ])
  })

  it('an invalid transfer is refused with a reason', async () => {
    const answer = await request({ from: 'acct-1', to: 'acct-1', amount: 50 })
    expectProblem(answer, 422)
    expect(answer.body.reason).toBe('same-account')
    expectProblem(await get('/transfer/t-1'), 404)
  })

  it('a transfer creates no account', async () => {
    await request({ from: 'nobody', to: 'acct-1', amount: 50 })
    await vi.waitFor(async () => expect((await get('/transfer/t-1')).body.state?.status).toBe('refused'), patienceMs)
    expectProblem(await get('/views/accounts/nobody'), 404)
  })
})

describe('the days view', () => {
  const today = () => get(`/views/days/${new Date().toISOString().slice(0, 10)}`)

  it('the days view shows a command to a caller that prefers to wait', async () => {
    expect((await today()).status).toBe(404)
    await open('acct-1')
    expect((await deposit('acct-1', 200, { Prefer: 'wait=9' })).status).toBe(200)
    expect((await today()).body.view).toEqual({ deposited: 200, withdrawn: 0, transferred: 0, movements: 1 })
  })

  it('a caller that does not wait long enough gets 202 with what was stored', async () => {
    const notStarted = bankHandler(bankApp(memoryStore()))
    const headers = { 'Content-Type': 'application/json', Prefer: 'respond-async, wait=0' }
    const body = JSON.stringify({ owner: 'ann' })
    const answer = await notStarted(new Request('http://bank/account/acct-1/OpenAccount', { method: 'POST', headers, body }))
    expect([answer.status, await answer.json()]).toEqual([202, expect.objectContaining({ sequence: 1, replayed: false })])
  })
})

it('the server listens only on this machine', async () => {
  const { port } = new URL(server.url)
  const others = Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses.filter(({ internal, family }) => !internal && family === 'IPv4'),
  )
  for (const { address } of [...others, { address: '127.0.0.2' }])
    await expect(fetch(`http://${address}:${port}/`)).rejects.toThrow('fetch failed')
})

it('the server finishes running requests before it closes', async () => {
  await open('acct-1')
  const headers = { 'Content-Type': 'application/json', Expect: '100-continue' }
  const underWay = httpRequest(`${server.url}/account/acct-1/DepositMoney`, { method: 'POST', headers })
  underWay.flushHeaders()
  await once(underWay, 'continue')
  const closed = server.close()
  underWay.end(JSON.stringify({ amount: 200 }))
  const [response] = (await once(underWay, 'response')) as [IncomingMessage]
  expect([response.resume().statusCode, response.headers.connection]).toEqual([200, 'close'])
  await closed
  await expect(get('/')).rejects.toThrow('fetch failed')
  server = await listen({ openStore: sqlite(file), port: 0 })
  expect((await get('/account/acct-1')).body.state.balance).toBe(200)
})

interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: whatever the server says
  readonly body: any
}

const open = (id: string, owner = 'ann') => post(`/account/${id}/OpenAccount`, { owner })

const deposit = (id: string, amount: number, headers: Record<string, string> = {}) =>
  post(`/account/${id}/DepositMoney`, { amount }, headers)

/** Sends `path` as it is, without encoding. */
const post = (path: string, data: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  request(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    ...(data === undefined ? {} : { body: JSON.stringify(data) }),
  })

const get = (path: string): Promise<Answer> => request(path)

async function request(path: string, init?: RequestInit): Promise<Answer> {
  const response = await fetch(`${server.url}${path}`, init)
  return { status: response.status, headers: response.headers, body: await response.json() }
}

function expectProblem({ status, headers, body }: Answer, expected: number): void {
  expect([status, headers.get('content-type'), body.status]).toEqual([expected, 'application/problem+json', expected])
  expect(body.title).not.toBe('Error')
  expect(JSON.stringify(body)).not.toMatch(/\.ts\b|node_modules|at file:/)
}
