import { createApp } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, it } from 'vitest'
import { customer } from './customer.ts'

const open = () => createApp({ store: memoryStore(), aggregates: { customer } })
const register = (email: string) => ({ type: 'RegisterCustomer', data: { name: 'Ann', email } }) as const

describe('the e-mail address of a customer', () => {
  it('an address belongs to one customer when several register at once, in any case', async () => {
    const app = open()
    const addresses = ['ann@example.com', 'ANN@example.com', 'Ann@Example.com']
    const results = await Promise.all(addresses.map((email, i) => app.aggregates.customer.execute(`c-${i}`, register(email))))
    expect(results.filter(({ ok }) => ok)).toHaveLength(1)
    expect(results.find(({ ok }) => !ok)).toMatchObject({ reason: 'taken', details: { unique: 'email' } })
    await app.close()
  })

  it('an address is free again when its customer changes it', async () => {
    const app = open()
    const { customer } = app.aggregates
    await customer.execute('c-1', register('ann@example.com'))
    expect(await customer.execute('c-2', register('ann@example.com'))).toMatchObject({ ok: false, reason: 'taken' })
    await customer.execute('c-1', { type: 'ChangeEmail', data: { email: 'ann@example.org' } })
    expect(await customer.execute('c-2', register('ann@example.com'))).toMatchObject({ ok: true })
    await app.close()
  })
})
