import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'libsql'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { listen } from './listen.ts'
import { sqlite } from './stores.ts'

let folder: string
let file: string
let server: Awaited<ReturnType<typeof listen>>
/** What the server logged as an error. */
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

const open = { type: 'OpenAccount', data: { owner: 'ann' } }
const deposit = (amount: number) => ({ type: 'DepositMoney', data: { amount } })

describe('POST /account/{id}', () => {
  it('answers 200 with the events as they are stored, and the sequence', async () => {
    await post('acct-1', open)
    const { status, headers, body } = await post('acct-1', deposit(200))
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('application/json')
    expect(headers.get('etag')).toBe('"2"')
    expect(body).toEqual({
      sequence: 2,
      replayed: false,
      events: [
        expect.objectContaining({
          type: 'MoneyDeposited',
          data: { amount: 200, balance: 200 },
          aggregateId: 'acct-1',
          sequence: 2,
        }),
      ],
    })
    expect((await get('/account/acct-1/events?after=1')).body.items).toEqual(body.events)
  })

  it('stores time, uri and user agent of the request with the events', async () => {
    const before = new Date().toISOString()
    await post('acct-1?from=phone', open, { 'User-Agent': 'phone/7' })
    const [{ metadata }] = (await get('/account/acct-1/events')).body.items
    expect(metadata).toEqual({ time: expect.any(String), uri: '/account/acct-1?from=phone', userAgent: 'phone/7' })
    expect(metadata.time >= before && metadata.time <= new Date().toISOString()).toBe(true)
  })

  it('answers 422 with the reason and its details when the account refuses', async () => {
    await post('acct-1', open)
    await post('acct-1', deposit(200))
    const answer = await post('acct-1', { type: 'WriteCheck', data: { check: '1170', amount: 500 } })
    expectProblem(answer, 422)
    expect(answer.body).toEqual({
      title: 'Unprocessable Content',
      status: 422,
      detail: 'The account refused: insufficient-funds.',
      reason: 'insufficient-funds',
      details: { balance: 200, missing: 300 },
    })
    expect((await post('acct-1', open)).body).not.toHaveProperty('details')
    expect((await get('/account/acct-1')).body.sequence).toBe(2)
  })

  it('answers 422 when a service outside refuses', async () => {
    await post('acct-1', open)
    await post('acct-1', deposit(200))
    const { status, body } = await post('acct-1', { type: 'WithdrawCash', data: { atmId: 'ATM-7', amount: 50 } })
    expect([status, body.reason, body.details]).toEqual([422, 'atm-refused', { atmId: 'ATM-7', because: 'it is out of order' }])
  })

  it.each<[string, unknown, string[]]>([
    ['data that does not fit', deposit(-5), ['amount']],
    ['no data', { type: 'DepositMoney' }, []],
    ['an unknown command', { type: 'RobBank', data: {} }, []],
    ['a command called like a property of objects', { type: 'constructor', data: {} }, []],
    ['a member that a command does not have', { ...deposit(5), metadata: {} }, []],
    ['a list', [deposit(5)], []],
    ['null', null, []],
    ['a text', '"DepositMoney"', []],
  ])('answers 400 with the issues for %s', async (_, command, path) => {
    await post('acct-1', open)
    const answer = await post('acct-1', command)
    expectProblem(answer, 400)
    expect(answer.body).toMatchObject({ code: 'VALIDATION', detail: expect.any(String) })
    expect(answer.body.issues[0].path ?? []).toEqual(path)
    expect((await get('/account/acct-1')).body.sequence).toBe(1)
  })

  it('says which commands there are', async () => {
    const { body } = await post('acct-1', { type: 'RobBank' })
    expect(body.detail).toContain('OpenAccount, DepositMoney, WithdrawCash, WriteCheck')
  })

  it.each(['', '{"type":', '{type: "OpenAccount"}'])('answers 400 for the body %j, which is not JSON', async (body) => {
    const answer = await post('acct-1', body)
    expectProblem(answer, 400)
    expect(answer.body.detail).toBe('The body is not JSON.')
  })

  it('answers 400 for JSON that is nested thousands deep, with a key too', async () => {
    const depth = 30_000
    const data = '['.repeat(depth) + ']'.repeat(depth)
    for (const headers of [{}, { 'Idempotency-Key': 'k1' }])
      expectProblem(await post('acct-1', `{"type":"DepositMoney","data":${data}}`, headers), 400)
  })

  it('answers 415 for what is not sent as JSON', async () => {
    const answer = await post('acct-1', open, { 'Content-Type': 'text/plain' })
    expectProblem(answer, 415)
    expectProblem(await get('/account/acct-1'), 404)
  })

  it('takes JSON with a character set', async () => {
    expect((await post('acct-1', open, { 'Content-Type': 'Application/JSON; charset=utf-8' })).status).toBe(200)
  })

  it('answers 413 for a body over 64 kB, announced or not', async () => {
    const body = JSON.stringify({ type: 'OpenAccount', data: { owner: 'x'.repeat(64 * 1024) } })
    expectProblem(await post('acct-1', body), 413)
    const chunks = new Blob([body]).stream()
    const init: RequestInit & { duplex: 'half' } = {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: chunks,
      duplex: 'half',
    }
    expectProblem(await request('/account/acct-1', init), 413)
  })
})

describe('Idempotency-Key', () => {
  it('stores a command once, and answers the repeat as the first time', async () => {
    await post('acct-1', open)
    const first = await post('acct-1', deposit(200), { 'Idempotency-Key': 'k1' })
    await post('acct-1', deposit(1))
    const repeat = await post('acct-1', deposit(200), { 'Idempotency-Key': 'k1' })
    expect(first.body.replayed).toBe(false)
    expect(repeat.status).toBe(200)
    expect(repeat.body).toEqual({ ...first.body, replayed: true })
    expect(repeat.headers.get('etag')).toBe('"2"')
    expect((await get('/account/acct-1')).body.balance).toBe(201)
  })

  it('answers 422 when the key comes with another command', async () => {
    await post('acct-1', open)
    await post('acct-1', deposit(200), { 'Idempotency-Key': 'k1' })
    const answer = await post('acct-1', deposit(300), { 'Idempotency-Key': 'k1' })
    expectProblem(answer, 422)
    expect(answer.body.code).toBe('IDEMPOTENCY')
    expect((await get('/account/acct-1')).body.balance).toBe(200)
  })

  it('lets an ATM pay out for two accounts that use the same key', async () => {
    for (const id of ['acct-1', 'acct-2']) {
      await post(id, open)
      await post(id, deposit(8_000))
      await post(id, { type: 'WithdrawCash', data: { atmId: 'ATM-1', amount: 4_000 } }, { 'Idempotency-Key': 'k1' })
    }
    const third = await post('acct-2', { type: 'WithdrawCash', data: { atmId: 'ATM-1', amount: 4_000 } })
    expect(third.body.details).toEqual({ atmId: 'ATM-1', because: 'it holds only 2000' })
  })

  it.each(['', 'x'.repeat(256)])('answers 400 for a key of unfit length', async (key) => {
    expectProblem(await post('acct-1', open, { 'Idempotency-Key': key }), 400)
  })
})

describe('ETag', () => {
  it('of the view, sent back in If-Match, lets a command through when nothing has happened since', async () => {
    await post('acct-1', open)
    const etag = (await get('/account/acct-1')).headers.get('etag') ?? ''
    expect(etag).toBe('"1"')
    expect((await post('acct-1', deposit(5), { 'If-Match': etag })).status).toBe(200)
    const late = await post('acct-1', deposit(5), { 'If-Match': etag })
    expectProblem(late, 409)
    expect(late.body.code).toBe('CONFLICT')
    expect((await get('/account/acct-1')).body.balance).toBe(5)
  })

  it('If-None-Match: * lets a command through for a new account only', async () => {
    expect((await post('acct-1', open, { 'If-None-Match': '*' })).status).toBe(200)
    expectProblem(await post('acct-1', deposit(5), { 'If-None-Match': '*' }), 409)
  })

  it.each(['1', 'W/"1"', '"1", "2"', '*', '"-1"', '"x"', ''])('answers 400 for If-Match: %s', async (value) => {
    await post('acct-1', open)
    expectProblem(await post('acct-1', deposit(5), { 'If-Match': value }), 400)
  })

  it('answers 400 for another If-None-Match, and for both at once', async () => {
    expectProblem(await post('acct-1', open, { 'If-None-Match': '"1"' }), 400)
    expectProblem(await post('acct-1', open, { 'If-None-Match': '*', 'If-Match': '"0"' }), 400)
  })
})

describe('GET /account/{id}', () => {
  it('answers 200 with the view', async () => {
    await post('acct-1', open)
    await post('acct-1', deposit(200))
    const { body } = await post('acct-1', { type: 'WriteCheck', data: { check: '1170', amount: 50 } })
    const { recordedAt } = body.events[0]
    const view = await get('/account/acct-1')
    expect(view.status).toBe(200)
    expect(view.headers.get('etag')).toBe('"3"')
    expect(view.body).toEqual({
      id: 'acct-1',
      owner: 'ann',
      balance: 150,
      ledger: [
        { at: expect.any(String), entry: 'deposit', amount: 200, balance: 200 },
        { at: recordedAt, entry: 'check 1170', amount: -50, balance: 150 },
      ],
      checks: ['1170'],
      sequence: 3,
    })
  })

  it('answers 404 for an account that is not there, also after a refused command', async () => {
    await post('acct-1', deposit(5))
    const answer = await get('/account/acct-1')
    expectProblem(answer, 404)
    expect(answer.body.detail).toBe("There is no account 'acct-1'.")
  })
})

describe('GET /account/{id}/events', () => {
  it('answers with the history, in order', async () => {
    await post('acct-1', open)
    await post('acct-1', deposit(1))
    await post('acct-2', open)
    const { status, body } = await get('/account/acct-1/events')
    expect(status).toBe(200)
    expect(body.items.map(({ id, type, sequence }: Record<string, unknown>) => [id, type, sequence])).toEqual([
      ['account/acct-1/1', 'AccountOpened', 1],
      ['account/acct-1/2', 'MoneyDeposited', 2],
    ])
    expect(body).not.toHaveProperty('next')
  })

  it('goes page by page', async () => {
    await post('acct-1', open)
    for (const amount of [1, 2, 3]) await post('acct-1', deposit(amount))
    const sequences: number[] = []
    let after: number | undefined = 0
    let pages = 0
    while (after !== undefined) {
      const { body } = await get(`/account/acct-1/events?after=${after}&limit=2`)
      sequences.push(...body.items.map((event: { sequence: number }) => event.sequence))
      after = body.next
      pages++
    }
    expect([sequences, pages]).toEqual([[1, 2, 3, 4], 2])
    expect((await get('/account/acct-1/events?after=4')).body).toEqual({ items: [] })
  })

  it('answers 404 for an account that is not there', async () => {
    expectProblem(await get('/account/acct-1/events'), 404)
  })

  it.each(['after=-1', 'after=x', 'after=1.5', 'after=1e0', 'limit=0', 'limit=1001', 'limit=', 'limit=0x5', 'after='])(
    'answers 400 for ?%s',
    async (query) => {
      await post('acct-1', open)
      expectProblem(await get(`/account/acct-1/events?${query}`), 400)
    },
  )
})

describe('GET /accounts', () => {
  it('finds the accounts of an owner, page by page', async () => {
    for (const id of ['acct-1', 'acct-2', 'acct-3']) await post(id, open)
    await post('acct-4', { type: 'OpenAccount', data: { owner: 'bob & söhne' } })
    await post('acct-3', deposit(7))
    const first = (await get('/accounts?owner=ann&limit=2')).body
    expect(first.items).toEqual([
      { id: 'acct-1', owner: 'ann', balance: 0 },
      { id: 'acct-2', owner: 'ann', balance: 0 },
    ])
    const second = (await get(`/accounts?owner=ann&limit=2&after=${first.next}`)).body
    expect(second).toEqual({ items: [{ id: 'acct-3', owner: 'ann', balance: 7 }] })
    const bob = (await get(`/accounts?owner=${encodeURIComponent('bob & söhne')}`)).body
    expect(bob.items).toEqual([{ id: 'acct-4', owner: 'bob & söhne', balance: 0 }])
  })

  it('lists all accounts without an owner, and none of a stranger', async () => {
    for (const id of ['acct-1', 'acct-2']) await post(id, open)
    expect((await get('/accounts')).body.items).toHaveLength(2)
    expect((await get('/accounts?owner=eve')).body).toEqual({ items: [] })
  })

  it.each([`owner=${'x'.repeat(256)}`, 'limit=0', 'after='])('answers 400 for what cannot be asked', async (query) => {
    expectProblem(await get(`/accounts?${query}`), 400)
  })
})

describe('ids', () => {
  it.each([
    'a b',
    'a/b',
    'a%2Fb',
    '%41',
    '100%',
    'a?b#c&d=e',
    'ünïcödé',
    '🏦',
    "o'; DROP TABLE events; --",
    '__proto__',
    'events',
    'a\\b',
    'a\nb',
    'account:1',
    ' ',
    'x'.repeat(255),
  ])('%j works in every route', async (id) => {
    const path = encodeURIComponent(id)
    expect((await post(path, open)).body.events[0].aggregateId).toBe(id)
    expect((await get(`/account/${path}`)).body.id).toBe(id)
    expect((await get(`/account/${path}/events`)).body.items[0].aggregateId).toBe(id)
    expect((await get('/accounts?owner=ann')).body.items).toEqual([{ id, owner: 'ann', balance: 0 }])
  })

  it.each(['x'.repeat(256), '%00', '%E4', '%', '%zz'])('%j is answered with 400', async (path) => {
    for (const { status, body } of [await post(path, open), await get(`/account/${path}`), await get(`/account/${path}/events`)])
      expect([status, body.code]).toEqual([400, 'VALIDATION'])
  })
})

describe('anything else', () => {
  it('answers 200 with the routes at /', async () => {
    const { status, body } = await get('/')
    expect(status).toBe(200)
    expect(body.routes).toContain('POST /account/{id}')
  })

  it.each(['/nothing', '/account', '/account/', '/accounts/1', '/account/acct-1/views'])('answers 404 at %s', async (path) => {
    expectProblem(await get(path), 404)
  })

  it.each([
    ['DELETE', '/account/acct-1', 'GET, HEAD, POST'],
    ['POST', '/account/acct-1/events', 'GET, HEAD'],
    ['PUT', '/accounts', 'GET, HEAD'],
  ])('answers 405 for %s %s', async (method, path, allowed) => {
    const answer = await request(path, { method })
    expectProblem(answer, 405)
    expect(answer.headers.get('allow')).toBe(allowed)
  })
})

describe('when something fails', () => {
  afterEach(() => logged.mockClear())

  it('answers 503 while another process holds the file, and goes on afterwards', async () => {
    await post('acct-1', open)
    const other = new Database(file)
    other.exec('BEGIN IMMEDIATE')
    const busy = await post('acct-1', deposit(5))
    expectProblem(busy, 503)
    expect(busy.body.code).toBe('STORE_BUSY')
    expect(busy.headers.get('retry-after')).toBe('1')
    expect((await get('/account/acct-1')).status).toBe(200)
    other.exec('ROLLBACK')
    other.close()
    expect((await post('acct-1', deposit(5))).body.sequence).toBe(2)
  })

  it('answers 500 without a word about our insides, and logs the error', async () => {
    await post('acct-1', open)
    const other = new Database(file)
    other.exec(`UPDATE events SET event_type = 'AccountFrozen'`)
    other.close()
    const answer = await get('/account/acct-1/events')
    expectProblem(answer, 500)
    expect(answer.body).toEqual({
      title: 'Internal Server Error',
      status: 500,
      detail: 'Something is wrong on our side. It has been logged.',
      code: 'DESERIALIZATION',
    })
    expect(logged).toHaveBeenCalledOnce()
    expect(String(logged.mock.calls[0]?.[0])).toContain('AccountFrozen')
  })
})

describe('the file', () => {
  it('is all that a new server needs to go on', async () => {
    await post('acct-1', open)
    await post('acct-1', deposit(200), { 'Idempotency-Key': 'k1' })
    const before = await get('/account/acct-1')
    await server.close()
    server = await listen({ openStore: sqlite(file), port: 0 })
    expect((await get('/account/acct-1')).body).toEqual(before.body)
    expect((await post('acct-1', deposit(200), { 'Idempotency-Key': 'k1' })).body.replayed).toBe(true)
    expect((await post('acct-1', deposit(1))).body.events[0].data.balance).toBe(201)
  })

  it('is in WAL mode', () => {
    const other = new Database(file)
    expect(other.prepare('PRAGMA journal_mode').all()).toEqual([expect.objectContaining({ journal_mode: 'wal' })])
    other.close()
  })

  it('must be a SQLite file', async () => {
    const text = join(folder, 'letter.txt')
    writeFileSync(text, 'Dear bank, '.repeat(1_000))
    await expect(listen({ openStore: sqlite(text), port: 0 })).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  })

  it('is closed again when the port is taken', async () => {
    const port = Number(new URL(server.url).port)
    await expect(listen({ openStore: sqlite(join(folder, 'other.db')), port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })
})

describe('transfers', () => {
  const transfer = (data: object) => ({ type: 'RequestTransfer', data })

  it('are accepted at once, and done soon', async () => {
    await post('acct-1', open)
    await post('acct-1', deposit(200))
    await post('acct-2', open)
    const order = { from: 'acct-1', to: 'acct-2', amount: 50 }
    expect((await send('/transfer/t-1', transfer(order))).status).toBe(200)
    await vi.waitFor(
      async () => expect((await get('/transfer/t-1')).body).toEqual({ id: 't-1', ...order, status: 'completed' }),
      10_000,
    )
    expect((await get('/account/acct-1')).body).toMatchObject({ balance: 150, sequence: 3 })
    expect((await get('/account/acct-2')).body.ledger).toMatchObject([{ entry: 'transfer from acct-1', amount: 50, balance: 50 }])
  })

  it('are refused with a reason when they make no sense', async () => {
    const answer = await send('/transfer/t-1', transfer({ from: 'acct-1', to: 'acct-1', amount: 50 }))
    expectProblem(answer, 422)
    expect(answer.body.reason).toBe('same-account')
    expectProblem(await get('/transfer/t-1'), 404)
  })

  it('are taken further by the bank alone', async () => {
    expectProblem(await send('/transfer/t-1', { type: 'RecordDeposit' }), 400)
    expectProblem(await post('acct-1', { type: 'ReceiveTransfer', data: { transfer: 't-1', from: 'acct-2', amount: 50 } }), 400)
  })

  it('leave no account where there was none', async () => {
    await send('/transfer/t-1', transfer({ from: 'nobody', to: 'acct-1', amount: 50 }))
    await vi.waitFor(async () => expect((await get('/transfer/t-1')).body.status).toBe('refused'), 10_000)
    expectProblem(await get('/account/nobody'), 404)
  })
})

describe('the day', () => {
  const today = () => get(`/day/${new Date().toISOString().slice(0, 10)}`)

  it('shows a command to whoever prefers to wait for it', async () => {
    expect((await today()).status).toBe(404)
    await post('acct-1', open)
    expect((await post('acct-1', deposit(200), { Prefer: 'wait=9' })).status).toBe(200)
    expect((await today()).body).toEqual({ deposited: 200, withdrawn: 0, transferred: 0, movements: 1 })
  })

  it('may not show it yet to those who do not wait long enough: 202, and what was stored', async () => {
    await post('acct-1', open)
    const { status, body } = await post('acct-1', deposit(200), { Prefer: 'respond-async, wait=0' })
    expect([200, 202]).toContain(status)
    expect(body).toMatchObject({ sequence: 2, replayed: false })
  })
})

it('listens to this machine only', async () => {
  const { port } = new URL(server.url)
  const others = Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses.filter(({ internal, family }) => !internal && family === 'IPv4'),
  )
  for (const { address } of [...others, { address: '127.0.0.2' }])
    await expect(fetch(`http://${address}:${port}/`)).rejects.toThrow('fetch failed')
})

it('finishes the request under way before it closes', async () => {
  await post('acct-1', open)
  const headers = { 'Content-Type': 'application/json', Expect: '100-continue' }
  const underWay = httpRequest(`${server.url}/account/acct-1`, { method: 'POST', headers })
  underWay.flushHeaders()
  await once(underWay, 'continue')
  const closed = server.close()
  underWay.end(JSON.stringify(deposit(200)))
  const [response] = (await once(underWay, 'response')) as [IncomingMessage]
  expect([response.resume().statusCode, response.headers.connection]).toEqual([200, 'close'])
  await closed
  await expect(get('/')).rejects.toThrow('fetch failed')
  server = await listen({ openStore: sqlite(file), port: 0 })
  expect((await get('/account/acct-1')).body.balance).toBe(200)
})

interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: whatever the server says
  readonly body: any
}

/** `path` and `body` go out as they are; a body that is no text goes out as JSON. */
const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  send(`/account/${path}`, body, headers)

const send = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  request(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
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
