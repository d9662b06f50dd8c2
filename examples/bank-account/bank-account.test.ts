import { isCqrsError } from 'cqrs-es'
import { given } from 'cqrs-es/testing'
import { describe, expect, it } from 'vitest'
import { bankAccount } from './bank-account.ts'
import { type BankServices, cityServices } from './services.ts'
import { accounts } from './views.ts'

/** External services that agree, unless the test says otherwise. */
const world = (services: Partial<BankServices> = {}): { services: BankServices } => ({
  services: { atmWithdrawal: async () => ({ ok: true }), validateCheck: async () => ({ ok: true }), ...services },
})

const unused = world({
  atmWithdrawal: () => Promise.reject(new Error('The ATM network was asked.')),
  validateCheck: () => Promise.reject(new Error('The clearing house was asked.')),
})

const opened = { type: 'AccountOpened', data: { owner: 'ann' } } as const
const deposited = { type: 'MoneyDeposited', data: { amount: 1_000, balance: 1_000 } } as const
const checkWritten = { type: 'CheckWritten', data: { check: '1170', amount: 600, balance: 400 } } as const

describe('OpenAccount', () => {
  it('OpenAccount opens a new account', () =>
    given(bankAccount)
      .when({ type: 'OpenAccount', data: { owner: 'ann' } })
      .thenEvents([opened]))

  it('OpenAccount trims the name', () =>
    given(bankAccount)
      .when({ type: 'OpenAccount', data: { owner: '  ann ' } })
      .thenEvents([opened]))

  it('OpenAccount is rejected for an open account', () =>
    given(bankAccount, [opened])
      .when({ type: 'OpenAccount', data: { owner: 'bob' } })
      .thenRejected('already-open'))

  it.each(['', '   ', 'x'.repeat(101)])('OpenAccount is invalid with the name %j', (owner) =>
    expectInvalid(given(bankAccount).when({ type: 'OpenAccount', data: { owner } }).inspect()),
  )
})

describe('DepositMoney', () => {
  it('DepositMoney adds to the balance', () =>
    given(bankAccount, [opened, deposited])
      .when({ type: 'DepositMoney', data: { amount: 25 } })
      .thenEvents([{ type: 'MoneyDeposited', data: { amount: 25, balance: 1_025 } }]))

  it('DepositMoney is rejected before the account is open', () =>
    given(bankAccount)
      .when({ type: 'DepositMoney', data: { amount: 25 } })
      .thenRejected('not-open'))

  it.each([0, -1, 0.5, Number.NaN, 1_000_000_001])('DepositMoney is invalid with the amount %d', (amount) =>
    expectInvalid(given(bankAccount, [opened]).when({ type: 'DepositMoney', data: { amount } }).inspect()),
  )
})

describe('WithdrawCash', () => {
  const withdraw = (amount: number) => ({ type: 'WithdrawCash', data: { atmId: 'ATM-1', amount } }) as const

  it('WithdrawCash takes from the balance, down to 0', async () => {
    const account = given(bankAccount, [opened, deposited], world())
    await account.when(withdraw(200)).thenEvents([{ type: 'CashWithdrawn', data: { atmId: 'ATM-1', amount: 200, balance: 800 } }])
    await account
      .when(withdraw(1_000))
      .thenEvents([{ type: 'CashWithdrawn', data: { atmId: 'ATM-1', amount: 1_000, balance: 0 } }])
  })

  it('WithdrawCash asks the ATM network with the amount, the ATM and an id of this command', async () => {
    const asked: unknown[] = []
    const services = world({
      atmWithdrawal: async (...request) => {
        asked.push(request)
        return { ok: true }
      },
    })
    await given(bankAccount, [opened, deposited], { ...services, aggregateId: 'acct-1' })
      .when(withdraw(200))
      .inspect()
    expect(asked).toEqual([['ATM-1', 200, expect.stringMatching(/^acct-1\/.+/)]])
  })

  it('WithdrawCash is rejected above the balance without a call of the ATM network', () =>
    given(bankAccount, [opened, deposited], unused)
      .when(withdraw(1_001))
      .thenRejected('insufficient-funds', { balance: 1_000, missing: 1 }))

  it('WithdrawCash is rejected when the ATM network refuses', () =>
    given(bankAccount, [opened, deposited], world({ atmWithdrawal: async () => ({ ok: false, because: 'it is empty' }) }))
      .when(withdraw(200))
      .thenRejected('atm-refused', { atmId: 'ATM-1', because: 'it is empty' }))

  it('WithdrawCash is rejected before the account is open', () =>
    given(bankAccount, [], unused).when(withdraw(200)).thenRejected('not-open'))

  it('WithdrawCash fails when the ATM network cannot be reached', () =>
    expect(given(bankAccount, [opened, deposited], unused).when(withdraw(200)).inspect()).rejects.toThrow('network was asked'))
})

describe('WriteCheck', () => {
  const write = (amount: number, check = '1170') => ({ type: 'WriteCheck', data: { check, amount } }) as const

  it('WriteCheck takes from the balance', () =>
    given(bankAccount, [opened, deposited], world()).when(write(600)).thenEvents([checkWritten]))

  it('WriteCheck is rejected for a used number', () =>
    given(bankAccount, [opened, deposited, checkWritten], unused)
      .when(write(1))
      .thenRejected('check-already-written', { check: '1170' }))

  it('WriteCheck is rejected above the balance without a call of the clearing house', () =>
    given(bankAccount, [opened, deposited], unused)
      .when(write(1_500))
      .thenRejected('insufficient-funds', { balance: 1_000, missing: 500 }))

  it('WriteCheck is rejected when the clearing house refuses this check of this account', () =>
    given(bankAccount, [opened, deposited], {
      ...world({ validateCheck: async (account, check) => ({ ok: false, because: `${check} is not of ${account}` }) }),
      aggregateId: 'acct-1',
    })
      .when(write(600))
      .thenRejected('check-refused', { check: '1170', because: '1170 is not of acct-1' }))

  it('WriteCheck is rejected before the account is open', () =>
    given(bankAccount, [], unused).when(write(600)).thenRejected('not-open'))
})

it('the state follows from the events', () =>
  given(bankAccount, [opened, deposited])
    .and([checkWritten, { type: 'CashWithdrawn', data: { atmId: 'ATM-1', amount: 100, balance: 300 } }])
    .thenState({ open: true, balance: 300, checks: ['1170'] }))

describe('the view', () => {
  const at = '2000-01-01T00:00:00.000Z'

  it('the accounts view has owner, balance, ledger and checks', () =>
    given(
      bankAccount,
      [opened, deposited, { type: 'CashWithdrawn', data: { atmId: 'ATM-1', amount: 200, balance: 800 } }],
      world(),
    )
      .when({ type: 'WriteCheck', data: { check: '1170', amount: 600 } })
      .thenView(accounts, {
        owner: 'ann',
        balance: 200,
        ledger: [
          { at, entry: 'deposit', amount: 1_000, balance: 1_000 },
          { at, entry: 'cash at ATM-1', amount: -200, balance: 800 },
          { at, entry: 'check 1170', amount: -600, balance: 200 },
        ],
        checks: ['1170'],
        sequence: 4,
      }))

  it('the accounts view keeps the latest hundred entries of the ledger', () => {
    const deposits = Array.from({ length: 103 }, (_, i) => ({
      type: 'MoneyDeposited' as const,
      data: { amount: 1, balance: i + 1 },
    }))
    const ledger = deposits.slice(3).map(({ data }) => ({ at, entry: 'deposit', ...data }))
    return given(bankAccount, [opened, ...deposits]).thenView(accounts, {
      owner: 'ann',
      balance: 103,
      ledger,
      checks: [],
      sequence: 104,
    })
  })

  it('the accounts view has no row for an unopened account', () => given(bankAccount).thenView(accounts, undefined))
})

describe('the services of the demo', () => {
  it('ATM-1 pays until it is empty', async () => {
    const { atmWithdrawal } = cityServices()
    expect(await atmWithdrawal('ATM-1', 9_999, 'a')).toEqual({ ok: true })
    expect(await atmWithdrawal('ATM-1', 2, 'b')).toEqual({ ok: false, because: 'it holds only 1' })
  })

  it('an ATM counts a repeated request once', async () => {
    const { atmWithdrawal } = cityServices()
    for (let time = 0; time < 3; time++) expect(await atmWithdrawal('ATM-1', 6_000, 'same')).toEqual({ ok: true })
    expect(await atmWithdrawal('ATM-1', 4_000, 'other')).toEqual({ ok: true })
  })

  it('ATM-7 is out of order, and unknown ATMs do not exist', async () => {
    const { atmWithdrawal } = cityServices()
    expect(await atmWithdrawal('ATM-7', 1, 'a')).toEqual({ ok: false, because: 'it is out of order' })
    for (const atmId of ['ATM-2', '__proto__', 'constructor'])
      expect(await atmWithdrawal(atmId, 1, 'a')).toEqual({ ok: false, because: 'there is no such ATM' })
  })

  it('checks have at least four digits, and one number is stolen', async () => {
    const { validateCheck } = cityServices()
    expect(await validateCheck('acct-1', '1170')).toEqual({ ok: true })
    expect(await validateCheck('acct-1', '117')).toEqual({ ok: false, because: 'a check number has four digits or more' })
    expect(await validateCheck('acct-1', '1013')).toEqual({ ok: false, because: 'it was reported stolen' })
  })
})

async function expectInvalid(result: Promise<unknown>): Promise<void> {
  await expect(result).rejects.toSatisfy((error) => isCqrsError(error, 'VALIDATION'))
}
