import { given } from 'cqrs-es/testing'
import { bankAccount } from '../support/bank-account.ts'

/** What the test kit says, told to whichever runner hosts it. */
export const stories = {
  'a deposit passes': () =>
    given(bankAccount, [{ type: 'AccountOpened', data: { owner: 'ann' } }])
      .when({ type: 'DepositMoney', data: { amount: 5 } })
      .thenEvents([{ type: 'MoneyDeposited', data: { amount: 5, balance: 5 } }]),
  'a wrong expectation fails': () =>
    given(bankAccount, [{ type: 'AccountOpened', data: { owner: 'ann' } }])
      .when({ type: 'DepositMoney', data: { amount: 5 } })
      .thenEvents([{ type: 'MoneyDeposited', data: { amount: 5, balance: 6 } }]),
}
