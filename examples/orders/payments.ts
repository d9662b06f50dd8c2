/** The payment service. It acts once per key, however often it is called with it. */
export interface Payments {
  /** Takes money from the customer's card. Returns `null` if the card is declined. */
  charge(request: { readonly order: string; readonly amount: number }, key: string): Promise<string | null>
  /** Sends money back. Returns the number of the refund. */
  refund(reference: string, key: string): Promise<string>
}

/** The most that a card is charged, in cents. */
const limit = 100_000

/**
 * A flaky service in this process: it does what each first call asks for, and then its response is
 * lost. Only the key keeps the second call from taking the money twice.
 */
export function flakyPayments(): Payments {
  const done = new Set<string>()
  const once = <T>(key: string, result: T): T => {
    if (done.has(key)) return result
    done.add(key)
    throw new Error('the connection broke before the response')
  }
  return {
    charge: async ({ amount }, key) => once(key, amount > limit ? null : `card-${key.slice(0, 12)}`),
    refund: async (_reference, key) => once(key, `refund-${key.slice(0, 12)}`),
  }
}
