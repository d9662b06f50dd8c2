import { createApp, defineAggregate, isCqrsError, reject, StoreError, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { collect, failureOf } from '../support/async.ts'
import { bankAccount } from '../support/bank-account.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { isResend, leaping } from '../support/runtime.ts'
import { changed, sendingBy } from '../support/stores.ts'

const open = { type: 'OpenAccount', data: { owner: 'ann' } } as const
const deposit = (amount: number) => ({ type: 'DepositMoney', data: { amount } }) as const

function bank(validateCheck = async (_account: string, check: string) => check !== 'bad') {
  const dispatched: unknown[] = []
  const store = memoryStore()
  const queries = [(events: readonly unknown[]) => void dispatched.push(events)]
  const services = { account: { validateCheck } }
  const { account } = createApp({ store, aggregates: { account: bankAccount }, services, queries }).aggregates
  return { store, account, dispatched }
}

describe('an accepted command', () => {
  test('a new aggregate loads its initial state at sequence 0', async () => {
    expect(await bank().account.load('a')).toEqual({ state: { status: 'new' }, sequence: 0 })
  })

  test('a command is loaded, handled, committed and dispatched', async () => {
    const { account, dispatched } = bank()
    const first = await account.execute('a', open)
    expect(first).toMatchObject({ ok: true, state: { status: 'open', balance: 0 }, sequence: 1, replayed: false })
    const second = await account.execute('a', deposit(5))
    expect(second).toMatchObject({ ok: true, state: { status: 'open', balance: 5 }, sequence: 2 })
    expect(await account.load('a')).toEqual({ state: { status: 'open', balance: 5 }, sequence: 2 })
    if (first.ok && second.ok) expect(dispatched).toEqual([first.events, second.events])
  })

  test('an event carries its type, its version, its aggregate and the id of its commit', async () => {
    const { account, store } = bank()
    await account.execute('a', open)
    const { events } = await store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0 })
    const commitId = expect.stringMatching(/^[0-9a-f-]{36}$/)
    const place = { id: 'account/a/1', aggregateType: 'account', aggregateId: 'a', sequence: 1, position: '1' }
    expect(events).toEqual([
      {
        ...place,
        type: 'AccountOpened',
        version: '1.0',
        data: { owner: 'ann' },
        metadata: {},
        commitId,
        recordedAt: expect.any(String),
      },
    ])
  })

  test('sequences count 1, 2, 3 in each aggregate separately', async () => {
    const { counter: c } = createApp({ store: memoryStore(), aggregates: { counter } }).aggregates
    await c.execute('a', count(1))
    await c.execute('b', countEach(1, 2))
    await c.execute('a', countEach(1, 2, 3))
    expect((await collect(c.events('a'))).map((e) => e.sequence)).toEqual([1, 2, 3, 4])
    expect((await collect(c.events('b'))).map((e) => e.sequence)).toEqual([1, 2])
  })

  test('the events of one command share a commit id, those of two commands do not', async () => {
    const { counter: c } = createApp({ store: memoryStore(), aggregates: { counter } }).aggregates
    await c.execute('a', countEach(1, 2))
    await c.execute('a', count(1))
    const [one, two, three] = (await collect(c.events('a'))).map((e) => e.commitId)
    expect(one).toBe(two)
    expect(three).not.toBe(two)
  })

  test('the result has the events exactly as a later read returns them', async () => {
    const { account } = bank()
    const first = await account.execute('a', open, { metadata: { userId: 'u7', empty: undefined, zero: -0 } })
    const second = await account.execute('a', deposit(5))
    if (!first.ok || !second.ok) throw new Error('refused')
    expect([...first.events, ...second.events]).toStrictEqual(await collect(account.events('a')))
  })

  test('metadata is stored with every event of the command and reads back', async () => {
    const store = memoryStore()
    const metadata = { correlationId: 'c-1', nested: { list: [1, 'two', null] } }
    const { counter: c } = createApp({ store, aggregates: { counter } }).aggregates
    await c.execute('a', countEach(1, 2, 3), { metadata })
    await c.execute('a', count(1))
    const again = createApp({ store, aggregates: { counter } }).aggregates.counter
    expect((await collect(again.events('a'))).map((e) => e.metadata)).toEqual([metadata, metadata, metadata, {}])
  })
})

describe('a rejected command', () => {
  test('the caller receives the reason and the details of a rejection unchanged', async () => {
    const { account } = bank()
    expect(await account.execute('a', deposit(5))).toEqual({ ok: false, reason: 'not-open', details: undefined })
    await account.execute('a', open)
    const check = { type: 'WriteCheck', data: { check: '1', amount: 9 } } as const
    expect(await account.execute('a', check)).toEqual({ ok: false, reason: 'insufficient-funds', details: { balance: 0 } })
  })

  test('a rejected command stores nothing and calls no query', async () => {
    const { account, store, dispatched } = bank()
    await account.execute('a', deposit(5))
    expect(await store.lastPosition()).toBeUndefined()
    expect(dispatched).toEqual([])
  })
})

describe('a handler that collects its events', () => {
  const basket = defineAggregate({
    type: 'basket',
    events: { Added: typed<{ item: string; after: number }>() },
    commands: { AddAll: typed<{ items: readonly string[] }>() },
    initialState: (): readonly string[] => [],
  }).implement({
    handle: {
      AddAll: (before, command, { event, apply }) => {
        const added: ReturnType<typeof event.Added>[] = []
        for (const item of command.items) {
          const items = apply(before, ...added)
          if (items.includes(item)) return reject('twice', { item })
          added.push(event.Added({ item, after: items.length }))
        }
        return added
      },
    },
    apply: { Added: (items, { item }) => [...items, item] },
  })
  const store = memoryStore()
  const { baskets } = createApp({ store, aggregates: { baskets: basket } }).aggregates
  const add = (id: string, ...items: string[]) => baskets.execute(id, { type: 'AddAll', data: { items } })

  test('a handler sees the effect of the events that it has collected', async () => {
    const result = await add('sees', 'pear', 'fig', 'plum')
    expect(result.ok && result.events.map((e) => e.data.after)).toEqual([0, 1, 2])
  })

  test('collected events are stored in the order they were collected', async () => {
    expect(await add('order', 'pear', 'fig')).toMatchObject({ ok: true, sequence: 2, state: ['pear', 'fig'] })
    expect((await collect(baskets.events('order'))).map((e) => e.data.item)).toEqual(['pear', 'fig'])
  })

  test('a rejection after collecting events stores none of them', async () => {
    const before = await store.lastPosition()
    expect(await add('refused', 'pear', 'fig', 'pear')).toEqual({ ok: false, reason: 'twice', details: { item: 'pear' } })
    expect(await store.lastPosition()).toBe(before)
    expect(await baskets.load('refused')).toEqual({ state: [], sequence: 0 })
  })
})

test('a command without events succeeds, stores nothing and calls no query', async () => {
  const { account, store, dispatched } = bank()
  const close = { type: 'CloseAccount' } as const
  expect(await account.execute('a', close)).toEqual({
    ok: true,
    state: { status: 'new' },
    sequence: 0,
    events: [],
    replayed: false,
  })
  expect(await store.lastPosition()).toBeUndefined()
  expect(dispatched).toEqual([])
  const { counter: c } = createApp({ store, aggregates: { counter } }).aggregates
  expect(await c.execute('c', countEach())).toMatchObject({ ok: true, sequence: 0, events: [] })
})

test('an asynchronous handler decides by the answer of a service', async () => {
  const asked: string[] = []
  const { account } = bank(async (id, check) => {
    asked.push(`${id} ${check}`)
    return check !== 'bad'
  })
  const write = (check: string) => account.execute('a', { type: 'WriteCheck', data: { check, amount: 2 } })
  await account.execute('a', open)
  await account.execute('a', deposit(5))
  expect(await write('bad')).toMatchObject({ ok: false, reason: 'check-invalid' })
  expect(await write('1170')).toMatchObject({ ok: true, state: { balance: 3 } })
  expect(asked).toEqual(['a bad', 'a 1170'])
})

test('an error of a service fails the command unchanged, and nothing is stored', async () => {
  const failure = new Error('clearing house is down')
  const { account, store } = bank(() => Promise.reject(failure))
  await account.execute('a', open)
  await account.execute('a', deposit(5))
  expect(await failureOf(account.execute('a', { type: 'WriteCheck', data: { check: '1', amount: 1 } }))).toBe(failure)
  expect(await store.lastPosition()).toBe('2')
})

test('a store that cannot be read fails the command before a decision', async () => {
  const down = new StoreError('STORE_UNAVAILABLE', 'The database does not answer.')
  const appended: unknown[] = []
  const store = sendingBy(changed(memoryStore(), { readAggregate: () => Promise.reject(down) }), (commit, really) => {
    appended.push(commit)
    return really(commit)
  })
  const { counter: c } = createApp({ store, aggregates: { counter }, runtime: leaping(isResend) }).aggregates
  expect(await failureOf(c.execute('c', count(1)))).toBe(down)
  expect(await failureOf(c.load('c'))).toBe(down)
  expect(appended).toEqual([])
})

test('an error of a driver reaches the caller inside a StoreError that names the aggregate', async () => {
  const cause = new Error('SQLITE_IOERR')
  const store = sendingBy(memoryStore(), async () => ({ kind: 'failed', certain: true, cause }))
  const { counter: c } = createApp({ store, aggregates: { counter } }).aggregates
  const error = await failureOf(c.execute('c', count(1)))
  expect(error).toMatchObject({ code: 'STORE_FAILED', name: 'StoreError', cause })
  expect(error.message).toContain("counter 'c'")
  expect(error.message).toContain('SQLITE_IOERR')
})

test.each(['STORE_BUSY', 'STORE_FULL', 'STORE_READ_ONLY', 'STORE_LIMIT', 'SCHEMA_MISSING'] as const)(
  'a certain failure with %s reaches the caller, and the command is not resent',
  async (code) => {
    const cause = new StoreError(code, 'No.')
    let sends = 0
    const store = sendingBy(memoryStore(), async (_commit, _really, nth) => {
      sends = nth
      return { kind: 'failed', certain: true, cause }
    })
    const { counter: c } = createApp({ store, aggregates: { counter } }).aggregates
    expect(await failureOf(c.execute('c', count(1)))).toBe(cause)
    expect(isCqrsError(cause, 'CONFLICT')).toBe(false)
    expect(sends).toBe(1)
    expect(await c.load('c')).toEqual({ state: { total: 0 }, sequence: 0 })
  },
)
