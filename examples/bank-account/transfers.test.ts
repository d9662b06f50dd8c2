import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApp, defineSubscription, type EnvelopeOf, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { given } from 'cqrs-es/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bankAccount } from './bank-account.ts'
import { cityServices } from './services.ts'
import { type OpenStore, sqlite } from './stores.ts'
import { transfer } from './transfer.ts'
import { takeNextStep, transfers } from './transfers.ts'

const order = { from: 'ann', to: 'bob', amount: 30 }

describe('a transfer', () => {
  const requested = { type: 'TransferRequested', data: order } as const

  it('a transfer needs two different accounts', () =>
    given(transfer)
      .when({ type: 'RequestTransfer', data: { ...order, to: 'ann' } })
      .thenRejected('same-account'))

  it('a transfer is requested once', () =>
    given(transfer, [requested]).when({ type: 'RequestTransfer', data: order }).thenRejected('already-requested'))

  it('a transfer does not go back to an earlier step', () =>
    given(transfer, [requested, { type: 'MoneyWithdrawn' }])
      .when({ type: 'RecordRefusal', data: { because: 'insufficient-funds' } })
      .thenEvents([]))
})

describe.each(['memory', 'sqlite'] as const)('transfers on %s', (name) => {
  let folder: string
  let opened: { store: Store; close(): Promise<void> }
  let bank: ReturnType<typeof bankWith>

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'bank-'))
    const open: OpenStore =
      name === 'sqlite' ? sqlite(join(folder, 'bank.db')) : async () => ({ store: memoryStore(), close: async () => {} })
    opened = await open()
    bank = bankWith(opened.store, transfers)
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
    expect(await story('t-1')).toEqual(['TransferRequested', 'MoneyWithdrawn', 'TransferCompleted'])
  })

  it('the events of a transfer have its causation and correlation ids', async () => {
    await openAccounts({ ann: 100, bob: 0 })
    await request('t-1', order)
    await bank.drain()
    const received = (await eventsOf('bob')).at(-1)
    expect(received?.metadata).toEqual({ causationId: 'transfer/t-1/2', correlationId: 'transfer/t-1/1' })
  })

  it('a transfer above the balance is refused', async () => {
    await openAccounts({ ann: 20, bob: 0 })
    await request('t-1', order)
    await bank.drain()
    expect(await all('ann', 'bob')).toEqual([20, 0])
    expect(await story('t-1')).toEqual(['TransferRequested', 'TransferRefused'])
    expect((await bank.aggregates.transfer.load('t-1')).state.because).toBe('insufficient-funds')
  })

  it('a transfer to a closed account is refunded', async () => {
    await openAccounts({ ann: 100, bob: 0 })
    await bank.aggregates.account.execute('bob', { type: 'CloseAccount', data: {} })
    await request('t-1', order)
    await bank.drain()
    expect(await all('ann', 'bob')).toEqual([100, 0])
    expect(await story('t-1')).toEqual(['TransferRequested', 'MoneyWithdrawn', 'DepositDeclined', 'TransferRefunded'])
    expect((await eventsOf('ann')).map(({ type }) => type).slice(-2)).toEqual(['TransferSent', 'TransferTakenBack'])
  })

  describe.each(['after', 'in the middle of'] as const)('when the process dies %s each step', (when) => {
    beforeEach(async () => {
      await bank.close()
      bank = bankWith(opened.store, dying(when))
    })

    it('a transfer arrives once', async () => {
      await openAccounts({ ann: 100, bob: 0 })
      await request('t-1', order)
      expect(await livesUntilDone()).toBeGreaterThan(2)
      expect(await all('ann', 'bob')).toEqual([70, 30])
    })

    it('a transfer is refunded once', async () => {
      await openAccounts({ ann: 100 })
      await request('t-1', order)
      expect(await livesUntilDone()).toBeGreaterThan(3)
      expect(await all('ann')).toEqual([100])
      expect(await story('t-1')).toEqual(['TransferRequested', 'MoneyWithdrawn', 'DepositDeclined', 'TransferRefunded'])
    })

    it('a refused transfer stays refused even if there is enough at the retry', async () => {
      await openAccounts({ ann: 20, bob: 0 })
      await request('t-1', order)
      await bank.drain()
      await bank.aggregates.account.execute('ann', { type: 'DepositMoney', data: { amount: 100 } })
      await livesUntilDone()
      expect(await all('ann', 'bob')).toEqual([120, 0])
      expect(await story('t-1')).toEqual(['TransferRequested', 'TransferRefused'])
    })

    it('a refund stays a refund even if the account is open at the retry', async () => {
      await openAccounts({ ann: 100 })
      await request('t-1', order)
      while ((await eventsOf('bob')).length === 0) await oneLife()
      await openAccounts({ bob: 0 })
      await livesUntilDone()
      expect(await all('ann', 'bob')).toEqual([100, 0])
    })

    /** Starts lives until the work is done. Returns their number. */
    async function livesUntilDone(): Promise<number> {
      for (let lives = 1; ; lives++) if (await oneLife()) return lives
    }

    async function oneLife(): Promise<boolean> {
      const { caughtUp } = await bank.drain()
      await bank.close()
      bank = bankWith(opened.store, dying(when))
      await bank.subscriptions.transfers.resume()
      return caughtUp
    }
  })

  it('many transfers keep the total at every moment even if every third step is repeated', async () => {
    await bank.close()
    let steps = 0
    bank = bankWith(
      opened.store,
      subscription('retry', 3, async (event, context) => {
        await takeNextStep(event, context)
        if (context.attempt === 1 && ++steps % 3 === 0) throw new Error('The answer was lost.')
      }),
    )
    const names = ['ann', 'bob', 'cid']
    await openAccounts({ ann: 100, bob: 100, cid: 100 })
    await bank.start()
    const requests = Array.from({ length: 60 }, (_, i) => {
      const [from = '', to = ''] = [names[i % 3], i % 10 === 0 ? 'nobody' : names[(i + 1 + (i % 2)) % 3]]
      return request(`t-${i}`, { from, to, amount: 10 + ((i * 7) % 60) })
    })
    await Promise.all(requests)
    await until(async () => {
      const states = await Promise.all(requests.map((_, i) => bank.aggregates.transfer.load(`t-${i}`)))
      return states.every(({ state }) => ['completed', 'refused', 'refunded'].includes(state.status))
    })
    expect(steps).toBeGreaterThan(60)
    const { moments, left } = await audit(300)
    expect(moments).toBeGreaterThan(60)
    expect(left).toEqual(new Map())
    const ends = await Promise.all(requests.map((_, i) => bank.aggregates.transfer.load(`t-${i}`)))
    for (const status of ['completed', 'refused', 'refunded']) expect(ends.map(({ state }) => state.status)).toContain(status)
  })

  /**
   * Reads the log and sums up at each event: balances, and money that left one account and did not
   * reach another.
   */
  async function audit(money: number) {
    const balances = new Map<string, number>()
    const underWay = new Map<string, number>()
    const over = new Set<string>()
    let moments = 0
    let total = 0
    for await (const event of bank.events()) {
      if (event.aggregateType !== 'account') continue
      if ('balance' in event.data) balances.set(event.aggregateId, event.data.balance)
      if (event.type === 'TransferSent') {
        expect(underWay.has(event.data.transfer) || over.has(event.data.transfer)).toBe(false)
        underWay.set(event.data.transfer, event.data.amount)
      }
      if (event.type === 'TransferReceived' || event.type === 'TransferTakenBack') {
        expect(underWay.get(event.data.transfer)).toBe(event.data.amount)
        underWay.delete(event.data.transfer)
        over.add(event.data.transfer)
      }
      if (event.type === 'MoneyDeposited') total += event.data.amount
      expect(sum(balances.values()) + sum(underWay.values())).toBe(total)
      moments++
    }
    expect(total).toBe(money)
    return { moments, left: underWay }
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

  const eventsOf = (id: string) => listOf(bank.aggregates.account.events(id))

  const story = async (id: string) => (await listOf(bank.aggregates.transfer.events(id))).map(({ type }) => type)
})

type Step = (...args: Parameters<typeof takeNextStep>) => Promise<void>

const subscription = (onFailure: 'stop' | 'retry', maxAttempts: number, handle: Step) =>
  defineSubscription({ name: 'transfers', aggregates: [transfer], onFailure, maxAttempts, handle })

/** Dies before its checkpoint: once after each step, or between the two commands of a step. */
function dying(when: 'after' | 'in the middle of') {
  return subscription('stop', 1, async (event: EnvelopeOf<typeof transfer>, context) => {
    const key = `${when}/${event.id}`
    const dies = !died.has(key)
    died.add(key)
    const { app } = context
    const aggregate = ((asked: typeof transfer) =>
      dies && asked === transfer ? { ...app.aggregate(asked), execute: die } : app.aggregate(asked)) as typeof app.aggregate
    await takeNextStep(event, when === 'after' ? context : { ...context, app: { aggregate } })
    if (dies) die()
  })
}

let died = new Set<string>()
beforeEach(() => {
  died = new Set()
})

const die = (): never => {
  throw new Error('The process has died.')
}

const bankWith = (store: Store, transfers: ReturnType<typeof subscription>) =>
  createApp({
    store,
    aggregates: { account: bankAccount, transfer },
    subscriptions: { transfers },
    services: { account: cityServices() },
    observe: () => {},
  })

const sum = (numbers: Iterable<number>) => [...numbers].reduce((a, b) => a + b, 0)

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 20))
}

async function listOf<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
