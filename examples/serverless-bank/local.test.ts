import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { serverUrl } from '../../test/servers/ask.ts'
import { unselected } from '../../test/servers/stores.ts'
import { patienceMs } from '../../test/strength.ts'
import { bundleFunctions } from './bundle.ts'
import type { DeadRecords } from './local/stream.ts'
import { localToken } from './local/tokens.ts'
import { DynamoDbProxy } from './test/proxy.ts'
import { type Started, startBank } from './test/start.ts'
import { arn, BankTemplate } from './test/template.ts'

const patience = { timeout: patienceMs, interval: 100 }

describe.skipIf(unselected('dynamodb'))('the local serverless bank', () => {
  let proxy: DynamoDbProxy
  let bank: Started
  beforeAll(async () => {
    const prefix = `bank-${process.pid}`
    proxy = new DynamoDbProxy(await serverUrl('dynamodb'), prefix)
    bank = await startBank({ DYNAMODB_ENDPOINT: await proxy.listen(), TABLES: prefix })
    if (bank.url === '') throw new Error(bank.output.err)
  })
  afterEach(() => {
    proxy.refuses = () => false
  })
  afterAll(async () => {
    bank?.child.kill('SIGTERM')
    await bank?.exited
    proxy?.close()
  })

  it('a command is executed, and the view of the account shows it at once', async () => {
    const opened = await command('account', 'ann-1', 'OpenAccount', { owner: 'ann' })
    expect(opened).toMatchObject({
      status: 200,
      body: { sequence: 1, replayed: false, events: [{ metadata: { userId: 'ann' } }] },
    })
    await command('account', 'ann-1', 'DepositMoney', { amount: 200 })
    expect(await get('/views/accounts/ann-1')).toMatchObject({ status: 200, body: { view: { owner: 'ann', balance: 200 } } })
    expect((await get('/views/accounts?owner=ann')).body.items).toMatchObject([{ id: 'ann-1', view: { balance: 200 } }])
    expect((await get('/account/ann-1')).body).toMatchObject({ sequence: 2, state: { balance: 200 } })
    expect((await get('/account/ann-1/events')).body.items).toHaveLength(2)
  })

  it('a command in the body works, with any id that a path can express', async () => {
    const id = 'Zoë & co, 1'
    const path = `/account/${encodeURIComponent(id)}`
    const opened = await request('POST', path, { body: { type: 'OpenAccount', data: { owner: 'zoë' } } })
    expect(opened).toMatchObject({ status: 200, body: { events: [{ aggregateId: id }] } })
    accounts.add(id)
    expect((await get(`/views/accounts?owner=${encodeURIComponent('zoë')}`)).body.items).toMatchObject([{ id }])
  })

  it('a rejected command and a wrong request are answered with their reason', async () => {
    await open('refused-1', 50)
    expect(await command('account', 'refused-1', 'WriteCheck', { check: '1170', amount: 80 })).toMatchObject({
      status: 422,
      body: { reason: 'insufficient-funds', details: { balance: 50, missing: 30 } },
    })
    expect(await command('account', 'refused-1', 'DepositMoney', { amount: 'much' })).toMatchObject({
      status: 400,
      body: { code: 'VALIDATION' },
    })
    const ifMatch = { 'If-Match': '"1"' }
    expect((await command('account', 'refused-1', 'DepositMoney', { amount: 1 }, ifMatch)).status).toBe(412)
    expect((await get('/views/nothing/1')).status).toBe(404)
  })

  it('the API serves its OpenAPI document', async () => {
    const { status, body } = await get('/openapi.json')
    expect(status).toBe(200)
    expect(body).toMatchObject({ openapi: '3.1.1', info: { title: 'Bank account' }, security: [{ token: [] }] })
    expect(Object.keys(body.paths as object)).toContain('/account/{id}/DepositMoney')
  })

  it('a command with an Idempotency-Key is stored once', async () => {
    await open('once-1', 100)
    const send = () => command('account', 'once-1', 'DepositMoney', { amount: 25 }, { 'Idempotency-Key': 'rent-may' })
    const [first, second] = [await send(), await send()]
    expect([first.body.replayed, second.body.replayed]).toEqual([false, true])
    expect(second.body.events).toEqual(first.body.events)
    expect((await get('/account/once-1')).body).toMatchObject({ sequence: 3, state: { balance: 125 } })
  })

  it('concurrent sandboxes lose no money', async () => {
    await open('busy-1')
    const answers = await Promise.all(
      Array.from({ length: 24 }, () => command('account', 'busy-1', 'DepositMoney', { amount: 1 })),
    )
    const done = answers.filter(({ status }) => status === 200)
    expect(answers.filter(({ status }) => ![200, 409].includes(status))).toEqual([])
    expect(await balance('busy-1')).toBe(done.length)
    expect((await get('/views/accounts/busy-1')).body).toMatchObject({ view: { balance: done.length } })
  })

  describe('authorization', () => {
    it.each([
      ['no token', undefined],
      ['a token that is none', 'Bearer ann'],
      ['an expired token', `Bearer ${localToken('ann', 'bank/read', -1)}`],
      ['a token for others', `Bearer ${withClaims({ aud: 'shop' })}`],
      ['a token of others', `Bearer ${withClaims({ iss: 'https://elsewhere.example.com/' })}`],
    ])('a caller with %s is refused by the gateway', async (_, authorization) => {
      const headers: Record<string, string> = authorization === undefined ? {} : { Authorization: authorization }
      const response = await fetch(`${bank.url}/account/ann-1`, { headers })
      expect([response.status, await response.json()]).toEqual([401, { message: 'Unauthorized' }])
    })

    it('a caller whose token names no subject is refused by the function', async () => {
      const headers = { Authorization: `Bearer ${withClaims({ sub: undefined })}` }
      expect(await get('/account/ann-1', headers)).toMatchObject({ status: 401, body: { title: 'Unauthorized' } })
    })

    it('one scope allows reading and another one commands', async () => {
      const reader = { Authorization: `Bearer ${localToken('ann', 'bank/read')}` }
      expect((await get('/account/ann-1', reader)).status).toBe(200)
      expect(await command('account', 'ann-1', 'DepositMoney', { amount: 1 }, reader)).toMatchObject({
        status: 403,
        body: { detail: 'This requires a token with the scope bank/write.' },
      })
      const writer = { Authorization: `Bearer ${localToken('ann', 'bank/write')}` }
      expect((await get('/account/ann-1', writer)).status).toBe(403)
    })

    it('callers cannot take internal steps of a transfer', async () => {
      const step = { transfer: 't-0', from: 'nowhere', amount: 1_000 }
      expect((await command('account', 'ann-1', 'ReceiveTransfer', step)).status).toBe(404)
      const body = { type: 'ReceiveTransfer', data: step }
      expect((await request('POST', '/account/ann-1', { body })).status).toBe(400)
    })
  })

  describe('through the stream', () => {
    it('the stream updates the view of the days', async () => {
      await open('days-1', 70)
      await expect.poll(days, patience).toEqual(await daysByHistory())
    })

    it('the stream moves a transfer along step by step', async () => {
      await open('payer-1', 100)
      await open('payee-1')
      await transfer('t-1', { from: 'payer-1', to: 'payee-1', amount: 30 })
      await expect.poll(() => statusOf('t-1'), patience).toBe('completed')
      expect([await balance('payer-1'), await balance('payee-1')]).toEqual([70, 30])
      await transfer('t-2', { from: 'payer-1', to: 'payee-1', amount: 1_000 })
      await expect.poll(() => statusOf('t-2'), patience).toBe('refused')
      await transfer('t-3', { from: 'payer-1', to: 'nobody', amount: 10 })
      await expect.poll(() => statusOf('t-3'), patience).toBe('refunded')
      expect(await balance('payer-1')).toBe(70)
      await expect.poll(days, patience).toEqual(await daysByHistory())
    })

    it('a redelivery of the whole stream changes nothing', async () => {
      await open('again-1', 40)
      await open('again-2')
      await transfer('t-again', { from: 'again-1', to: 'again-2', amount: 15 })
      await expect.poll(() => statusOf('t-again'), patience).toBe('completed')
      await expect.poll(days, patience).toEqual(await daysByHistory())
      const before = await everything()
      const again = await request('POST', '/_local/redeliver')
      expect(again.body.records).toBeGreaterThanOrEqual(8)
      expect(await everything()).toEqual(before)
    })

    it('the stream continues from a failing record, and later records are right', async () => {
      await open('flaky-1')
      await open('steady-1')
      await expect.poll(days, patience).toEqual(await daysByHistory())
      let refused = 0
      proxy.refuses = ({ who, body }) => who === 'stream' && body.includes('account:flaky-1') && ++refused <= 3
      await Promise.all(
        ['flaky-1', 'steady-1', 'flaky-1', 'steady-1'].map((id) => command('account', id, 'DepositMoney', { amount: 3 })),
      )
      await expect.poll(days, patience).toEqual(await daysByHistory())
      expect(refused).toBeGreaterThan(3)
      expect(bank.output.err).toContain("The change of account 'flaky-1' could not be processed")
      expect(await deadLetters()).toEqual([])
    })

    it('the stream gives up a poison record, continues, and the drain processes it later', async () => {
      await open('poison-1', 11)
      await open('healthy-1')
      await expect.poll(days, patience).toEqual(await daysByHistory())
      proxy.refuses = ({ who, body }) => who === 'stream' && body.includes('account:poison-1')
      await command('account', 'poison-1', 'DepositMoney', { amount: 5 })
      await command('account', 'healthy-1', 'DepositMoney', { amount: 7 })
      await expect.poll(deadLetters, patience).toHaveLength(1)
      const [dead] = await deadLetters()
      expect(dead).toMatchObject({ condition: 'RetryAttemptsExhausted', DDBStreamBatchInfo: { shardId: expect.any(String) } })
      expect(JSON.stringify(dead?.keys)).toContain('account:poison-1')
      expect(bank.output.out).toContain('Dead letter: ')

      await command('account', 'healthy-1', 'DepositMoney', { amount: 8 })
      await expect.poll(days, patience).toEqual(await daysByHistory({ without: { 'poison-1': 5 } }))

      proxy.refuses = () => false
      expect(await request('POST', '/_local/drain')).toMatchObject({ status: 200, body: { caughtUp: true, events: 1 } })
      expect(await days()).toEqual(await daysByHistory())
    })
  })

  describe('through the queue', () => {
    it('a duplicate message of the queue is stored once', async () => {
      await open('queued-1', 10)
      const message = { messageId: 'm-1', body: commandBody('queued-1', { type: 'DepositMoney', data: { amount: 4 } }) }
      for (let i = 0; i < 2; i++) expect((await queue([message])).body).toEqual({ done: ['m-1'], dead: [] })
      expect(await balance('queued-1')).toBe(14)
      expect((await get('/views/accounts/queued-1')).body).toMatchObject({ view: { balance: 14 } })
    })

    it('the queue keeps the order of a group and gives up a message that is not a command', async () => {
      const group = 'queued-2'
      accounts.add('queued-2')
      const { body } = await queue([
        { messageId: 'q-1', group, body: commandBody('queued-2', { type: 'OpenAccount', data: { owner: 'quinn' } }) },
        { messageId: 'q-2', group: 'other', body: 'pay me' },
        { messageId: 'q-3', group, body: commandBody('queued-2', { type: 'DepositMoney', data: { amount: 4 } }) },
      ])
      expect(body).toEqual({ done: ['q-1', 'q-3'], dead: ['q-2'] })
      expect(await balance('queued-2')).toBe(4)
    })

    it('the queue function saves a snapshot', async () => {
      await open('queued-3')
      const body = commandBody('queued-3', { type: 'DepositMoney', data: { amount: 1 } })
      const messages = Array.from({ length: 100 }, (_, i) => ({ messageId: `s-${i}`, group: 'queued-3', body }))
      expect((await queue(messages)).body.dead).toEqual([])
      expect(proxy.seen.get('queue')).toContain('UpdateItem snapshots')
    })
  })

  it('functions use only permissions of their role', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bank-rights-'))
    const template = new BankTemplate({ bundles: await bundleFunctions(folder) })
    await rm(folder, { recursive: true })
    for (const [who, name] of Object.entries({ command: 'Command', stream: 'Stream', queue: 'Queue', drain: 'Drain' })) {
      const seen = [...(proxy.seen.get(who) ?? [])]
      expect(seen.length, who).toBeGreaterThan(3)
      expect(
        seen.filter((need) => !allowed(template, name).has(need)),
        who,
      ).toEqual([])
    }
  })

  it.skipIf(process.platform === 'win32')('the local bank exits cleanly', async () => {
    bank.child.kill('SIGINT')
    expect(await bank.exited).toEqual([0, null])
    expect(bank.output.out).toContain('The bank is closed.')
    await expect(fetch(bank.url)).rejects.toThrow('fetch failed')
  })

  const accounts = new Set<string>()
  const transfers = new Set<string>()

  async function request(method: string, path: string, options: { body?: unknown; headers?: Record<string, string> } = {}) {
    const { body, headers } = options
    const response = await fetch(bank.url + path, {
      method,
      headers: { Authorization: `Bearer ${localToken('ann')}`, 'Content-Type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }

  const get = (path: string, headers: Record<string, string> = {}) => request('GET', path, { headers })

  function command(aggregate: string, id: string, type: string, body: object, headers: Record<string, string> = {}) {
    if (aggregate === 'account') accounts.add(id)
    return request('POST', `/${aggregate}/${id}/${type}`, { body, headers })
  }

  async function open(id: string, amount = 0): Promise<void> {
    expect((await command('account', id, 'OpenAccount', { owner: 'test' })).status).toBe(200)
    if (amount > 0) expect((await command('account', id, 'DepositMoney', { amount })).status).toBe(200)
  }

  async function transfer(id: string, order: { from: string; to: string; amount: number }): Promise<void> {
    transfers.add(id)
    expect((await command('transfer', id, 'RequestTransfer', order)).status).toBe(200)
  }

  const statusOf = async (id: string) => ((await get(`/transfer/${id}`)).body.state as { status: string }).status
  const balance = async (id: string) => ((await get(`/account/${id}`)).body.state as { balance: number }).balance
  const queue = (messages: readonly object[]) => request('POST', '/_local/queue', { body: messages })
  const commandBody = (id: string, command: object) => JSON.stringify({ aggregate: 'account', id, command })
  const deadLetters = async () => (await get('/_local/dead-letters')).body as unknown as readonly DeadRecords[]

  interface Totals {
    readonly deposited: number
    readonly withdrawn: number
    readonly transferred: number
    readonly movements: number
  }

  /** Totals of the view `days` over all days: a test may start before midnight and end after it. */
  async function days(): Promise<Totals> {
    const { items } = (await get('/views/days')).body as unknown as { items: readonly { readonly view: Totals }[] }
    const sum = (name: keyof Totals) => items.reduce((total, { view }) => total + view[name], 0)
    return {
      deposited: sum('deposited'),
      withdrawn: sum('withdrawn'),
      transferred: sum('transferred'),
      movements: sum('movements'),
    }
  }

  /**
   * Expected totals, from the histories of all accounts; `without` leaves out deposits by account.
   */
  async function daysByHistory({ without = {} }: { readonly without?: Readonly<Record<string, number>> } = {}): Promise<Totals> {
    const totals = { deposited: 0, withdrawn: 0, transferred: 0, movements: 0 }
    for (const { type, data } of await histories([...accounts].map((id) => `/account/${encodeURIComponent(id)}`))) {
      if (type === 'MoneyDeposited') totals.deposited += data.amount
      else if (type === 'TransferReceived') totals.transferred += data.amount
      else continue
      totals.movements++
    }
    for (const amount of Object.values(without)) {
      totals.deposited -= amount
      totals.movements--
    }
    return totals
  }

  type Event = { readonly type: string; readonly data: { readonly amount: number } }

  async function histories(paths: readonly string[]): Promise<readonly Event[]> {
    const all = await Promise.all(paths.map((path) => get(`${path}/events`)))
    return all.flatMap(({ status, body }) => (status === 404 ? [] : (body.items as readonly Event[])))
  }

  const everything = async () => ({
    accounts: (await get('/views/accounts?limit=1000')).body,
    days: (await get('/views/days')).body,
    events: await histories([
      ...[...accounts].map((id) => `/account/${encodeURIComponent(id)}`),
      ...[...transfers].map((id) => `/transfer/${id}`),
    ]),
  })
})

/** The permissions of a function, such as `PutItem events`, as the proxy records them. */
function allowed(template: BankTemplate, name: string): ReadonlySet<string> {
  const places = ['events', 'snapshots', 'views', 'meta'].flatMap((role) => {
    const table = arn(template.table(role))
    return [
      [JSON.stringify(table), role],
      [JSON.stringify({ 'Fn::Join': ['', [table, '/index/FirstEvents']] }), `${role}/index/FirstEvents`],
    ] as const
  })
  const nameOf = new Map(places)
  return new Set(
    template.rights(name).flatMap(({ Action, Resource }) => {
      const place = nameOf.get(JSON.stringify(Resource))
      return place === undefined ? [] : Action.map((action) => `${action.replace('dynamodb:', '')} ${place}`)
    }),
  )
}

/** A token with other claims. */
function withClaims(claims: object): string {
  const [header, payload = '', signature] = localToken('ann').split('.')
  const all = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), ...claims }
  return [header, Buffer.from(JSON.stringify(all)).toString('base64url'), signature].join('.')
}

describe.skipIf(unselected('dynamodb') || process.platform === 'win32')('npm run serverless:local', () => {
  let bank: Started | undefined
  afterEach(async () => {
    bank?.child.kill('SIGKILL')
    await bank?.exited
  })
  const dist = fileURLToPath(new URL('dist', import.meta.url))
  const leftovers = () => (existsSync(dist) ? readdirSync(dist).filter((name) => name.startsWith('local-')) : [])

  it.skipIf(spawnSync('curl', ['--version']).error)(
    'the local bank prints the sizes of the functions and lines that work in a real shell',
    async () => {
      const before = leftovers()
      bank = await startBank({ DYNAMODB_ENDPOINT: '' })
      for (const name of ['command', 'stream', 'queue', 'drain'])
        expect(bank.output.out).toMatch(new RegExp(`│ ${name} +│ +[\\d.]+ +│ +[\\d.]+ +│ +[\\d.]+ +│ +[\\d.]+ +│`))
      const script = bank.output.out
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => /^(curl|TOKEN=)/.test(line))
        .map((line) => line.replace(/^curl /, 'curl -s -o /dev/null -w "%{http_code}\\n" '))
        // The view of the day lags for a moment; it may have no row yet.
        .filter((line) => !line.includes('/views/days/'))
      const statuses = execFileSync('sh', ['-c', script.join('\n')], { encoding: 'utf8' })
        .trim()
        .split('\n')
      expect(statuses).toEqual(['200', '200', '200', '200', '200', '200', '200', '200', '200', '422', '401', '200'])

      bank.child.kill('SIGTERM')
      expect(await bank.exited).toEqual([0, null])
      expect(bank.output.err).toBe('')
      expect(bank.output.out).toContain('The bank is closed.')
      expect(leftovers().filter((name) => !before.includes(name))).toEqual([])
    },
  )

  it('a port in use fails with 1, a message and no stack trace', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    bank = await startBank({ DYNAMODB_ENDPOINT: await serverUrl('dynamodb'), TABLES: `taken-${process.pid}`, PORT: `${port}` })
    expect(await bank.exited).toEqual([1, null])
    other.close()
    expect(bank.output.err).toContain(`address already in use 127.0.0.1:${port}`)
    expect(bank.output.err).not.toMatch(/^\s+at /m)
  })
})
