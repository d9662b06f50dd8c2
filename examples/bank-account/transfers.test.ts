import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApp, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { given, givenProcess } from 'cqrs-es/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bankAccount } from './bank-account.ts'
import { cityServices } from './services.ts'
import { type OpenStore, sqlite } from './stores.ts'
import { transfer } from './transfer.ts'
import { transfers } from './transfers.ts'

const order = { from: 'ann', to: 'bob', amount: 30 }
const requested = { type: 'TransferRequested', data: order } as const

describe('a transfer', () => {
  it('a transfer needs two different accounts', () =>
    given(transfer)
      .when({ type: 'RequestTransfer', data: { ...order, to: 'ann' } })
      .thenRejected('same-account'))

  it('a transfer is requested once', () =>
    given(transfer, [requested]).when({ type: 'RequestTransfer', data: order }).thenRejected('already-requested'))
})

describe('the process of a transfer', () => {
  const begun = givenProcess(transfers, 't-1').on(transfer, 't-1', [requested])

  it('the process takes the money from the payer first', () =>
    begun.thenSends([{ to: 'account', id: 'ann', type: 'SendTransfer', data: { transfer: 't-1', to: 'bob', amount: 30 } }]))

  it('the process gives the money back when the payee rejects it', () =>
    begun
      .accepted('SendTransfer')
      .refused('ReceiveTransfer', 'not-open')
      .thenSends([
        { to: 'account', id: 'ann', type: 'TakeBackTransfer', data: { transfer: 't-1', amount: 30 } },
        { to: 'transfer', id: 't-1', type: 'RefundTransfer', data: { because: 'not-open' } },
      ]))

  it('the process ends with the outcome of the transfer', async () => {
    await begun.accepted('SendTransfer').accepted('ReceiveTransfer').thenEnded('completed')
    await begun.refused('SendTransfer', 'insufficient-funds').thenEnded('refused')
  })
})

describe.each(['memory', 'sqlite'] as const)('transfers on %s', (name) => {
  let folder: string
  let opened: { store: Store; close(): Promise<void> }
  let bank: ReturnType<typeof bankOn>

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'bank-'))
    const open: OpenStore =
      name === 'sqlite' ? sqlite(join(folder, 'bank.db')) : async () => ({ store: memoryStore(), close: async () => {} })
    opened = await open()
    bank = bankOn(opened.store)
  })
  afterEach(async () => {
    await bank.close()
    await opened.close()
    rmSync(folder, { recursive: true })
  })

  it('a transfer arrives', async () => {
    await openAccounts({ ann: 100, bob: 0 })
    await request('t-1', order)
    await bank.drain()
    expect(await all('ann', 'bob')).toEqual([70, 30])
    expect(await story('t-1')).toEqual(['TransferRequested', 'TransferCompleted'])
  })

  it('the events of a transfer have its causation and correlation ids', async () => {
    await openAccounts({ ann: 100, bob: 0 })
    await request('t-1', order)
    await bank.drain()
    const received = (await listOf(bank.aggregates.account.events('bob'))).at(-1)
    const metadata = { causationId: 'account/ann/3', correlationId: 'transfer/t-1/1', process: 'transfers/t-1' }
    expect(received?.metadata).toEqual(metadata)
  })

  it('a transfer above the balance is refused', async () => {
    await openAccounts({ ann: 20, bob: 0 })
    await request('t-1', order)
    await bank.drain()
    expect(await all('ann', 'bob')).toEqual([20, 0])
    expect((await bank.aggregates.transfer.load('t-1')).state).toMatchObject({ status: 'refused', because: 'insufficient-funds' })
  })

  it('a transfer to a closed account is refunded', async () => {
    await openAccounts({ ann: 100, bob: 0 })
    await bank.aggregates.account.execute('bob', { type: 'CloseAccount', data: {} })
    await request('t-1', order)
    await bank.drain()
    expect(await all('ann', 'bob')).toEqual([100, 0])
    expect(await story('t-1')).toEqual(['TransferRequested', 'TransferRefunded'])
    const events = await listOf(bank.aggregates.account.events('ann'))
    expect(events.map(({ type }) => type).slice(-2)).toEqual(['TransferSent', 'TransferTakenBack'])
  })

  it('many transfers keep the total at every moment when appends are cut off at random', async () => {
    await bank.close()
    const cutOff = { appends: 0 }
    bank = bankOn(losingAnswers(opened.store, cutOff))
    const names = ['ann', 'bob', 'cid']
    await openAccounts({ ann: 100, bob: 100, cid: 100 })
    await bank.start()
    const requests = Array.from({ length: 60 }, (_, i) => {
      const [from = '', to = ''] = [names[i % 3], i % 10 === 0 ? 'nobody' : names[(i + 1 + (i % 2)) % 3]]
      return request(`t-${i}`, { from, to, amount: 10 + ((i * 7) % 60) })
    })
    await Promise.all(requests)
    const ends = () => Promise.all(requests.map((_, i) => bank.aggregates.transfer.load(`t-${i}`)))
    await until(async () => (await ends()).every(({ state }) => ['completed', 'refused', 'refunded'].includes(state.status)))
    expect(cutOff.appends).toBeGreaterThan(10)
    const { moments, left } = await audit(300)
    expect(moments).toBeGreaterThan(30)
    expect(left).toEqual(new Map())
    const statuses = (await ends()).map(({ state }) => state.status)
    for (const status of ['completed', 'refused', 'refunded']) expect(statuses).toContain(status)
  })

  /**
   * Reads the log and sums up at each event: balances, and money that left one account and did not
   * reach another.
   */
  async function audit(money: number) {
    const balances = new Map<string, number>()
    const inFlight = new Map<string, number>()
    const over = new Set<string>()
    let [moments, total] = [0, 0]
    for await (const event of bank.events()) {
      if (event.aggregateType !== 'account') continue
      if ('balance' in event.data) balances.set(event.aggregateId, event.data.balance)
      if (event.type === 'TransferSent') {
        expect(inFlight.has(event.data.transfer) || over.has(event.data.transfer)).toBe(false)
        inFlight.set(event.data.transfer, event.data.amount)
      }
      if (event.type === 'TransferReceived' || event.type === 'TransferTakenBack') {
        expect(inFlight.get(event.data.transfer)).toBe(event.data.amount)
        inFlight.delete(event.data.transfer)
        over.add(event.data.transfer)
      }
      if (event.type === 'MoneyDeposited') total += event.data.amount
      expect(sum(balances.values()) + sum(inFlight.values())).toBe(total)
      moments++
    }
    expect(total).toBe(money)
    return { moments, left: inFlight }
  }

  async function openAccounts(balances: Record<string, number>) {
    for (const [owner, amount] of Object.entries(balances)) {
      await bank.aggregates.account.execute(owner, { type: 'OpenAccount', data: { owner } })
      if (amount > 0) await bank.aggregates.account.execute(owner, { type: 'DepositMoney', data: { amount } })
    }
  }

  async function request(id: string, data: typeof order) {
    expect(await bank.aggregates.transfer.execute(id, { type: 'RequestTransfer', data })).toMatchObject({ ok: true })
  }

  const all = (...ids: string[]) => Promise.all(ids.map(async (id) => (await bank.aggregates.account.load(id)).state.balance))

  const story = async (id: string) => (await listOf(bank.aggregates.transfer.events(id))).map(({ type }) => type)
})

const bankOn = (store: Store) =>
  createApp({
    store,
    aggregates: { account: bankAccount, transfer },
    processes: { transfers },
    services: { account: cityServices() },
    observe: () => {},
  })

/** A store that stores every third append and loses its answer. */
function losingAnswers(store: Store, counted: { appends: number }): Store {
  let nth = 0
  const append: Store['append'] = async (commits) => {
    const outcomes = await store.append(commits)
    if (++nth % 3 !== 0) return outcomes
    counted.appends++
    return commits.map(() => ({ kind: 'failed', certain: false, cause: new Error('The answer was lost.') }))
  }
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = name === 'append' ? append : Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

const sum = (numbers: Iterable<number>) => [...numbers].reduce((a, b) => a + b, 0)

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 20))
}

async function listOf<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
