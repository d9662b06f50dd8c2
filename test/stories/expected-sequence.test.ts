import { createApp } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { standingStill } from '../support/runtime.ts'
import { overtaken } from '../support/stores.ts'

const appOn = (store = memoryStore()) => createApp({ store, aggregates: { counter } }).aggregates.counter

test('a command that expects the current sequence is stored', async () => {
  const c = appOn()
  expect(await c.execute('c', count(1), { expectedSequence: 0 })).toMatchObject({ ok: true, sequence: 1 })
  expect(await c.execute('c', count(1), { expectedSequence: 1 })).toMatchObject({ ok: true, sequence: 2 })
})

test.each([0, 1, 3, 99])(
  'a command that expects %i of an aggregate at 2 is a conflict, without a decision',
  async (expectedSequence) => {
    const c = appOn()
    await c.execute('c', count(1))
    await c.execute('c', count(1))
    const error = await failureOf(c.execute('c', count(1), { expectedSequence }))
    expect(error).toMatchObject({
      code: 'CONFLICT',
      aggregateType: 'counter',
      aggregateId: 'c',
      expectedSequence,
      actualSequence: 2,
    })
    expect(error.attempts).toBe(0)
    expect(error.message).toContain("counter 'c'")
    expect((await c.load('c')).sequence).toBe(2)
  },
)

test('a stale cache causes no false conflict', async () => {
  const store = memoryStore()
  const [here, there] = [appOn(store), appOn(store)]
  await here.execute('c', count(1))
  await there.execute('c', count(1))
  expect(await here.execute('c', count(1), { expectedSequence: 2 })).toMatchObject({ ok: true, sequence: 3, state: { total: 3 } })
})

test('a stale cache causes no false success', async () => {
  const store = memoryStore()
  const [here, there] = [appOn(store), appOn(store)]
  await here.execute('c', count(1))
  await there.execute('c', count(1))
  const error = await failureOf(here.execute('c', count(1), { expectedSequence: 1 }))
  expect(error).toMatchObject({ code: 'CONFLICT', expectedSequence: 1, actualSequence: 2 })
  const refused = await failureOf(appOn(store).execute('c', count(-9), { expectedSequence: 1 }))
  expect(refused.code).toBe('CONFLICT')
})

test('a lost race for the expected sequence is a conflict and is not retried', async () => {
  const store = memoryStore()
  const { runtime } = standingStill()
  const quicker = overtaken(store, () => appOn(store).execute('c', count(1)))
  const c = createApp({ store: quicker, aggregates: { counter }, runtime }).aggregates.counter
  const error = await failureOf(c.execute('c', count(1), { expectedSequence: 0 }))
  expect(error).toMatchObject({ code: 'CONFLICT', expectedSequence: 0, actualSequence: 1, attempts: 1 })
  expect((await c.load('c')).sequence).toBe(1)
})

test('a rejection decided on a stale state is a conflict when a sequence is expected', async () => {
  const store = memoryStore()
  const [here, there] = [appOn(store), appOn(store)]
  await here.execute('c', count(1))
  await there.execute('c', count(1))
  expect((await failureOf(here.execute('c', count(-9), { expectedSequence: 1 }))).code).toBe('CONFLICT')
})
