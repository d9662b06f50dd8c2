import { z } from 'zod'

/** Sizes of the measured event: amount and balance alone, or 18 fields. */
export type EventSize = 'small' | 'large'

/** The other 16 fields of a large `MoneyDeposited`. `bench/peers/rust` has the same. */
export const detailsSchema = z.object({
  currency: z.string(),
  reference: z.string(),
  description: z.string(),
  channel: z.string(),
  branch: z.string(),
  teller: z.string(),
  counterparty: z.string(),
  counterpartyIban: z.string(),
  valueDate: z.string(),
  bookingDate: z.string(),
  fee: z.number(),
  exchangeRate: z.number(),
  batch: z.number(),
  instant: z.boolean(),
  reversed: z.boolean(),
  category: z.string(),
})

export type Details = z.infer<typeof detailsSchema>

const details: Details = {
  currency: 'EUR',
  reference: 'RF18-5390-0754-7034',
  description: 'Invoice 2026-0417 of March, paid in full after the second reminder',
  channel: 'online-banking',
  branch: 'Zürich-Oerlikon',
  teller: 'terminal-0042',
  counterparty: 'Müller & Söhne Holzbau GmbH',
  counterpartyIban: 'CH93 0076 2011 6238 5295 7',
  valueDate: '2026-04-17',
  bookingDate: '2026-04-16T09:41:07.318Z',
  fee: 0.35,
  exchangeRate: 1.0642,
  batch: 118_402,
  instant: true,
  reversed: false,
  category: 'income/invoices',
}

const none: Partial<Details> = {}

/** The fields of a `MoneyDeposited` of this size, besides amount and balance. */
export const detailsOf = (size: EventSize): Partial<Details> => (size === 'large' ? details : none)
