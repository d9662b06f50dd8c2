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
  it('opens a new account', () =>
    given(bankAccount)
      .when({ type: 'OpenAccount', data: { owner: 'ann' } })
      .thenEvents([opened]))

  it('drops blanks around the name', () =>
    given(bankAccount)
      .when({ type: 'OpenAccount', data: { owner: '  ann ' } })
      .thenEvents([opened]))

  it('is refused for an account that is open', () =>
    given(bankAccount, [opened])
      .when({ type: 'OpenAccount', data: { owner: 'bob' } })
      .thenRejected('already-open'))

  it.each(['', '   ', 'x'.repeat(101)])('does not take the name %j', (owner) =>
    expectInvalid(given(bankAccount).when({ type: 'OpenAccount', data: { owner } }).inspect()),
  )
})

describe('DepositMoney', () => {
  it('adds to the balance', () =>
    given(bankAccount, [opened, deposited])
      .when({ type: 'DepositMoney', data: { amount: 25 } })
      .thenEvents([{ type: 'MoneyDeposited', data: { amount: 25, balance: 1_025 } }]))

  it('is refused before the account is open', () =>
    given(bankAccount)
      .when({ type: 'DepositMoney', data: { amount: 25 } })
      .thenRejected('not-open'))

  it.each([0, -1, 0.5, Number.NaN, 1_000_000_001])('does not take the amount %d', (amount) =>
    expectInvalid(given(bankAccount, [opened]).when({ type: 'DepositMoney', data: { amount } }).inspect()),
  )
})

describe('WithdrawCash', () => {
  const withdraw = (amount: number) => ({ type: 'WithdrawCash', data: { atmId: 'ATM-1', amount } }) as const

  it('takes from the balance, down to nothing', async () => {
    const account = given(bankAccount, [opened, deposited], world())
    await account.when(withdraw(200)).thenEvents([{ type: 'CashWithdrawn', data: { atmId: 'ATM-1', amount: 200, balance: 800 } }])
    await account
      .when(withdraw(1_000))
      .thenEvents([{ type: 'CashWithdrawn', data: { atmId: 'ATM-1', amount: 1_000, balance: 0 } }])
  })

  it('asks the ATM network for this amount at this ATM, with an id that belongs to this command of this account', async () => {
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

  it('is refused for more than the balance, and the ATM network is not asked', () =>
    given(bankAccount, [opened, deposited], unused)
      .when(withdraw(1_001))
      .thenRejected('insufficient-funds', { balance: 1_000, missing: 1 }))

  it('is refused when the ATM network refuses', () =>
    given(bankAccount, [opened, deposited], world({ atmWithdrawal: async () => ({ ok: false, because: 'it is empty' }) }))
      .when(withdraw(200))
      .thenRejected('atm-refused', { atmId: 'ATM-1', because: 'it is empty' }))

  it('is refused before the account is open', () => given(bankAccount, [], unused).when(withdraw(200)).thenRejected('not-open'))

  it('fails when the ATM network cannot be reached', () =>
    expect(given(bankAccount, [opened, deposited], unused).when(withdraw(200)).inspect()).rejects.toThrow('network was asked'))
})

describe('WriteCheck', () => {
  const write = (amount: number, check = '1170') => ({ type: 'WriteCheck', data: { check, amount } }) as const

  it('takes from the balance', () => given(bankAccount, [opened, deposited], world()).when(write(600)).thenEvents([checkWritten]))

  it('is refused for a number that was used before', () =>
    given(bankAccount, [opened, deposited, checkWritten], unused)
      .when(write(1))
      .thenRejected('check-already-written', { check: '1170' }))

  it('is refused for more than the balance, and the clearing house is not asked', () =>
    given(bankAccount, [opened, deposited], unused)
      .when(write(1_500))
      .thenRejected('insufficient-funds', { balance: 1_000, missing: 500 }))

  it('is refused when the clearing house refuses this check of this account', () =>
    given(bankAccount, [opened, deposited], {
      ...world({ validateCheck: async (account, check) => ({ ok: false, because: `${check} is not of ${account}` }) }),
      aggregateId: 'acct-1',
    })
      .when(write(600))
      .thenRejected('check-refused', { check: '1170', because: '1170 is not of acct-1' }))

  it('is refused before the account is open', () => given(bankAccount, [], unused).when(write(600)).thenRejected('not-open'))
})

it('the state is what the events left', () =>
  given(bankAccount, [opened, deposited])
    .and([checkWritten, { type: 'CashWithdrawn', data: { atmId: 'ATM-1', amount: 100, balance: 300 } }])
    .thenState({ open: true, balance: 300, checks: ['1170'] }))

describe('the view', () => {
  const at = '2000-01-01T00:00:00.000Z'

  it('has owner, balance, ledger and checks', () =>
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

  it('keeps the latest hundred entries of the ledger', () => {
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

  it('is not there for an account that is not', () => given(bankAccount).thenView(accounts, undefined))
})

describe('the outside world of the demo', () => {
  it('has an ATM that works until it is empty', async () => {
    const { atmWithdrawal } = cityServices()
    expect(await atmWithdrawal('ATM-1', 9_999, 'a')).toEqual({ ok: true })
    expect(await atmWithdrawal('ATM-1', 2, 'b')).toEqual({ ok: false, because: 'it holds only 1' })
  })

  it('sets cash aside once for each request', async () => {
    const { atmWithdrawal } = cityServices()
    for (let time = 0; time < 3; time++) expect(await atmWithdrawal('ATM-1', 6_000, 'same')).toEqual({ ok: true })
    expect(await atmWithdrawal('ATM-1', 4_000, 'other')).toEqual({ ok: true })
  })

  it('has an ATM that is out of order, and no others', async () => {
    const { atmWithdrawal } = cityServices()
    expect(await atmWithdrawal('ATM-7', 1, 'a')).toEqual({ ok: false, because: 'it is out of order' })
    for (const atmId of ['ATM-2', '__proto__', 'constructor'])
      expect(await atmWithdrawal(atmId, 1, 'a')).toEqual({ ok: false, because: 'there is no such ATM' })
  })

  it('knows checks of four digits or more, and one that was stolen', async () => {
    const { validateCheck } = cityServices()
    expect(await validateCheck('acct-1', '1170')).toEqual({ ok: true })
    expect(await validateCheck('acct-1', '117')).toEqual({ ok: false, because: 'a check number has four digits or more' })
    expect(await validateCheck('acct-1', '1013')).toEqual({ ok: false, because: 'it was reported stolen' })
  })
})

async function expectInvalid(result: Promise<unknown>): Promise<void> {
  await expect(result).rejects.toSatisfy((error) => isCqrsError(error, 'VALIDATION'))
}
