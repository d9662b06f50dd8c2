import { defineAggregate, reject } from 'cqrs-es'
import * as z from 'zod'

export const customer = defineAggregate({
  type: 'customer',
  commands: {
    RegisterCustomer: z.object({ name: z.string().trim().min(1).max(100), email: z.email() }),
    ChangeEmail: z.object({ email: z.email() }),
  },
  events: {
    CustomerRegistered: z.object({ name: z.string(), email: z.string() }),
    EmailChanged: z.object({ email: z.string() }),
  },
  initialState: (): { readonly email?: string } => ({}),
}).implement({
  handle: {
    RegisterCustomer: ({ email }, data) =>
      email === undefined ? { type: 'CustomerRegistered', data } : reject('already-registered'),
    ChangeEmail: ({ email }, data) => {
      if (email === undefined) return reject('not-registered')
      return email === data.email ? undefined : { type: 'EmailChanged', data }
    },
  },
  apply: {
    CustomerRegistered: (_, { email }) => ({ email }),
    EmailChanged: (_, { email }) => ({ email }),
  },
})
