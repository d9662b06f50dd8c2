import { memoryStore } from 'cqrs-es/memory'
import { expect, test } from 'vitest'
import { health } from './health.ts'
import { consoleMailer } from './mailer.ts'
import { createShop } from './shop.ts'

test('health reports each consumer while the database answers', async () => {
  const response = await health(createShop(memoryStore(), consoleMailer))
  expect(response.status).toBe(200)
  const states = (await response.json()).map(({ name, state }: Record<string, string>) => [
    name,
    state,
  ])
  expect(states).toEqual([
    ['orders', 'idle'],
    ['totals', 'idle'],
    ['mails', 'idle'],
    ['invoices', 'idle'],
  ])
})

test('health answers 503 when the database does not answer', async () => {
  const store = memoryStore()
  store.readConsumers = () => Promise.reject(new Error('the database is down'))
  expect((await health(createShop(store, consoleMailer))).status).toBe(503)
})
