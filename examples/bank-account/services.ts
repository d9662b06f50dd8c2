/** External services of the bank. The tests and the demo bring their own. */
export interface BankServices {
  /**
   * Reserves cash at an ATM, once per `requestId`, however often it is called. The ATM pays out
   * after the bank has agreed.
   */
  atmWithdrawal(atmId: string, amount: number, requestId: string): Promise<Answer>
  /** Whether this account's check with this number may be cashed. */
  validateCheck(accountId: string, check: string): Promise<Answer>
}

export type Answer = { readonly ok: true } | { readonly ok: false; readonly because: string }

/**
 * Services of the demo: a network of two ATMs and a clearing house, in this process, with visible
 * rules.
 */
export function cityServices(): BankServices {
  const atms = new Map<string, Atm>([
    ['ATM-1', { cash: 10_000, working: true }],
    ['ATM-7', { cash: 10_000, working: false }],
  ])
  const stolenChecks = new Set(['1013'])
  const setAside = new Set<string>()

  return {
    async atmWithdrawal(atmId, amount, requestId) {
      if (setAside.has(requestId)) return yes
      const atm = atms.get(atmId)
      if (atm === undefined) return no('there is no such ATM')
      if (!atm.working) return no('it is out of order')
      if (atm.cash < amount) return no(`it holds only ${atm.cash}`)
      atm.cash -= amount
      setAside.add(requestId)
      return yes
    },

    async validateCheck(_accountId, check) {
      if (!/^\d{4,}$/.test(check)) return no('a check number has four digits or more')
      if (stolenChecks.has(check)) return no('it was reported stolen')
      return yes
    },
  }
}

interface Atm {
  cash: number
  readonly working: boolean
}

const yes: Answer = { ok: true }
const no = (because: string): Answer => ({ ok: false, because })
