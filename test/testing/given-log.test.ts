import { AssertionError } from 'node:assert'
import { type AnyAggregate, createApp, defineAggregate, defineSubscription, defineView, noData, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { givenLog } from 'cqrs-es/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'

const account = defineAggregate({
  type: 'account',
  events: { AccountOpened: z.object({ owner: z.string() }), AccountClosed: noData },
  commands: { Withdraw: z.object({ amount: z.number().positive() }), Deposit: typed<{ amount: number }>(), Close: noData },
  initialState: () => ({ open: false }),
}).implement({
  handle: { Withdraw: () => {}, Deposit: () => {}, Close: () => ({ type: 'AccountClosed' }) },
  apply: { AccountOpened: () => ({ open: true }), AccountClosed: () => ({ open: false }) },
})

const transfer = defineAggregate({
  type: 'transfer',
  events: {
    TransferRequested: z.object({ from: z.string(), to: z.string(), amount: z.number() }),
    TransferFailed: typed<{ why: string }>(),
  },
  commands: { Request: typed<{ from: string; to: string; amount: number }>(), Fail: typed<{ why: string }>() },
  initialState: () => ({}),
}).implement({
  handle: {
    Request: (_, data) => ({ type: 'TransferRequested', data }),
    Fail: (_, data) => ({ type: 'TransferFailed', data }),
  },
  apply: { TransferRequested: (state) => state, TransferFailed: (state) => state },
})

const owners = defineView({
  name: 'owners',
  aggregates: [account, transfer],
  initialView: () => ({ accounts: 0, sent: 0 }),
  id: (event) => (event.type === 'AccountOpened' ? event.data.owner : event.type === 'TransferRequested' ? ['ann', 'all'] : []),
  update: {
    AccountOpened: (view) => ({ ...view, accounts: view.accounts + 1 }),
    TransferRequested: (view, { data }) => ({ ...view, sent: view.sent + data.amount }),
    AccountClosed: () => null,
  },
})

const transfers = defineSubscription({
  name: 'transfers',
  aggregates: [transfer],
  eventTypes: ['TransferRequested'],
  handle: async ({ aggregateId, data: { from, to, amount } }, { app, reaction }) => {
    const money = app.aggregate(account)
    await money.execute(from, { type: 'Withdraw', data: { amount } }, reaction('withdraw'))
    const deposited = await money.execute(to, { type: 'Deposit', data: { amount } }, reaction('deposit'))
    if (!deposited.ok) await app.aggregate(transfer).execute(aggregateId, { type: 'Fail', data: { why: 'closed' } }, reaction())
  },
})

const requested = (amount: number) => ({ type: 'TransferRequested', data: { from: 'acct-1', to: 'acct-2', amount } }) as const
const opened = (owner: string) => ({ type: 'AccountOpened', data: { owner } }) as const
const withdraw = (amount: number) =>
  ({ aggregate: account, id: 'acct-1', command: { type: 'Withdraw', data: { amount } } }) as const
const deposit = (amount: number) =>
  ({ aggregate: account, id: 'acct-2', command: { type: 'Deposit', data: { amount } } }) as const
const failed = { aggregate: transfer, id: 't-1', command: { type: 'Fail', data: { why: 'closed' } } } as const

const log = givenLog()
  .of(account, 'acct-1', [opened('ann')])
  .of(transfer, 't-1', [requested(5)])

/** A subscription to transfers that does this. */
const doing = (handle: Parameters<typeof defineSubscription<'s', [typeof transfer]>>[0]['handle']) =>
  defineSubscription({ name: 's', aggregates: [transfer], ...(handle && { handle }) })

/** The message of the failure, which must be an AssertionError. */
async function failure(check: Promise<unknown>): Promise<string> {
  const error = await check.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(AssertionError)
  return (error as AssertionError).message
}

describe('the log', () => {
  const seen = async (of: ReturnType<typeof givenLog>) => {
    const events: object[] = []
    const all = defineSubscription({ name: 'all', aggregates: [account, transfer], handle: (event) => void events.push(event) })
    await of.deliveredTo(all).thenCommands([])
    return events
  }

  test('givenLog counts sequences per aggregate and positions over the log', async () => {
    const more = log.of(account, 'acct-1', [{ type: 'AccountClosed' }, opened('bob')]).of(account, 'acct-2', [opened('cid')])
    expect(await seen(more)).toMatchObject([
      { id: 'account/acct-1/1', aggregateId: 'acct-1', sequence: 1, position: '1', type: 'AccountOpened' },
      { id: 'transfer/t-1/1', aggregateId: 't-1', sequence: 1, position: '2', aggregateType: 'transfer' },
      { id: 'account/acct-1/2', aggregateId: 'acct-1', sequence: 2, position: '3', type: 'AccountClosed' },
      { id: 'account/acct-1/3', aggregateId: 'acct-1', sequence: 3, position: '4', data: { owner: 'bob' } },
      { id: 'account/acct-2/1', aggregateId: 'acct-2', sequence: 1, position: '5' },
    ])
    expect(await seen(log)).toHaveLength(2)
  })

  test('givenLog takes metadata and now for all events or for some', async () => {
    const dated = givenLog({ metadata: { userId: 'u' }, now: new Date('2020-02-02T00:00:00Z') })
      .of(account, 'a', [opened('ann')])
      .of(account, 'a', [{ type: 'AccountClosed' }], { now: new Date('2030-01-01T00:00:00Z') })
      .of(account, 'a', [opened('bob')], { metadata: {} })
    expect(await seen(dated)).toMatchObject([
      { metadata: { userId: 'u' }, recordedAt: '2020-02-02T00:00:00.000Z' },
      { metadata: { userId: 'u' }, recordedAt: '2030-01-01T00:00:00.000Z' },
      { metadata: {}, recordedAt: '2020-02-02T00:00:00.000Z' },
    ])
    expect(await seen(log)).toMatchObject([{ metadata: {}, recordedAt: '2000-01-01T00:00:00.000Z' }, {}])
  })

  test('givenLog().of() throws for events that do not fit', () => {
    // @ts-expect-error the owner is a text
    expect(() => log.of(account, 'a', [{ type: 'AccountOpened', data: { owner: 1 } }])).toThrow(
      expect.objectContaining({
        code: 'INVALID_EVENT',
        message: expect.stringContaining("of(…) of account 'a' has AccountOpened"),
      }),
    )
    // @ts-expect-error it is the event of another aggregate
    expect(() => log.of(account, 'a', [requested(1)])).toThrow(/unknown type 'TransferRequested'/)
  })

  test('givenLog throws for unknown options and wrong definitions', () => {
    const definition = expect.objectContaining({ code: 'DEFINITION' })
    // @ts-expect-error there is no such option
    expect(() => givenLog({ services: {} })).toThrow(/givenLog has no option 'services'/)
    // @ts-expect-error there is no such option
    expect(() => log.of(account, 'a', [], { user: 'u' })).toThrow(/no option 'user'/)
    expect(() => log.of(account, '', [])).toThrow(definition)
    // @ts-expect-error it is no aggregate
    expect(() => log.of({}, 'a', [])).toThrow(definition)
    // @ts-expect-error it is no subscription
    expect(() => log.deliveredTo(owners)).toThrow(definition)
    // @ts-expect-error there is no such option
    expect(() => log.deliveredTo(transfers, { answers: () => undefined })).toThrow(/no option 'answers'/)
    const other = defineAggregate({ type: 'account', events: {}, commands: {}, initialState: () => ({}) })
    expect(() => log.of(other.implement({ handle: {}, apply: {} }), 'a', [])).toThrow(/two aggregates of the type 'account'/)
  })
})

describe('a view', () => {
  test('thenView checks a row of a view over several aggregates', async () => {
    await log.thenView(owners, 'ann', { accounts: 1, sent: 5 })
    await log.thenView(owners, 'all', { accounts: 0, sent: 5 })
    await log.thenView(owners, 'bob', undefined)
    await log.of(account, 'acct-2', [opened('ann')]).thenView(owners, 'ann', { accounts: 2, sent: 5 })
    await givenLog().thenView(owners, 'ann', undefined)
  })

  test('thenView ignores events of aggregates that the view does not name', async () => {
    const shop = defineAggregate({ type: 'shop', events: { AccountOpened: noData }, commands: {}, initialState: () => ({}) })
    const namesake = shop.implement({ handle: {}, apply: { AccountOpened: (state) => state } })
    await log.of(namesake, 'ann', [{ type: 'AccountOpened' }]).thenView(owners, 'ann', { accounts: 1, sent: 5 })
  })

  test('thenView fails and shows the difference', async () => {
    expect(await failure(log.thenView(owners, 'ann', { accounts: 2, sent: 5 }))).toContain(
      "The view 'owners' of 'ann' differs at accounts.\n  expected: 2\n  actual:   1",
    )
    expect(await failure(log.thenView(owners, 'ann', undefined))).toContain("The view 'owners' of 'ann' differs")
    expect(await failure(log.thenView(owners, 'bob', { accounts: 0, sent: 0 }))).toContain('actual:   nothing')
    const closings = defineView({ name: 'closings', aggregates: [account], initialView: () => ({}), update: {} })
    expect(await failure(givenLog().of(transfer, 't-1', []).thenView(closings, 'x', undefined))).toBe(
      "The view 'closings' does not follow the aggregate 'transfer' but account.",
    )
  })
})

describe('commands of a subscription', () => {
  const delivered = log.deliveredTo(transfers)

  test('thenCommands passes repeatedly for the exact commands', async () => {
    await delivered.thenCommands([withdraw(5), deposit(5)])
    await delivered.thenCommands([withdraw(5), deposit(5)])
    const twice = log.of(transfer, 't-2', [requested(7), { type: 'TransferFailed', data: { why: '' } }])
    await twice.deliveredTo(transfers).thenCommands([withdraw(5), deposit(5), withdraw(7), deposit(7)])
    await givenLog().deliveredTo(transfers).thenCommands([])
  })

  test('the answer option decides about later commands', async () => {
    const closed = log.deliveredTo(transfers, {
      answer: (sent) => (sent.command.type === 'Deposit' ? { ok: false, reason: 'closed', details: undefined } : undefined),
    })
    await closed.thenCommands([withdraw(5), deposit(5), failed])
  })

  const t = transfer as AnyAggregate
  test.each<[string, readonly { aggregate: AnyAggregate; id: string; command: { type: string; data?: unknown } }[], string]>([
    ['another order', [deposit(5), withdraw(5)], 'at [0].id.\n  expected: "acct-2"\n  actual:   "acct-1"'],
    ['a missing command', [withdraw(5), deposit(5), failed], 'at [2].\n  expected: {"aggregate":"transfer","id":"t-1"'],
    ['a surplus command', [withdraw(5)], 'at [1].\n  expected: nothing\n  actual:   {"aggregate":"account","id":"acct-2"'],
    ['other data', [withdraw(5), deposit(6)], 'at [1].command.data.amount.\n  expected: 6\n  actual:   5'],
    ['another aggregate', [{ ...withdraw(5), aggregate: t }, deposit(5)], 'at [0].aggregate.\n  expected: "transfer"'],
    ['another id', [{ ...withdraw(5), id: 'x' }, deposit(5)], 'at [0].id.\n  expected: "x"\n  actual:   "acct-1"'],
    ['another type', [withdraw(5), { ...deposit(5), command: { type: 'Close' } }], 'at [1].command.type.\n  expected: "Close"'],
    ['none at all', [], 'at [0].\n  expected: nothing'],
  ])('thenCommands fails and shows the difference for %s', async (_, expected, message) => {
    const said = await failure(delivered.thenCommands(expected as never))
    expect(said).toContain(`The list of commands that the subscription 'transfers' sent differs ${message}`)
    expect(said).toContain('whole expected')
  })

  test('thenCommands throws for an expected aggregate that is not one', async () => {
    // @ts-expect-error it is no aggregate
    await expect(delivered.thenCommands([{ ...withdraw(5), aggregate: {} }])).rejects.toMatchObject({ code: 'DEFINITION' })
  })

  test('thenCommands fails for a log without aggregates of the subscription', async () => {
    const none = givenLog()
      .of(account, 'a', [opened('ann')])
      .deliveredTo(transfers)
    expect(await failure(none.thenCommands([]))).toBe(
      "The subscription 'transfers' does not follow the aggregate 'account' but transfer.",
    )
  })
})

describe('the context of a handler', () => {
  test('a handler receives the context of a first delivery and accepted results', async () => {
    const contexts: object[] = []
    const results: object[] = []
    const looking = doing(async (_, context) => {
      contexts.push({ ...context, app: undefined })
      results.push(await context.app.aggregate(account).execute('a', { type: 'Close' }))
    })
    await log.deliveredTo(looking).inspect()
    expect(contexts).toMatchObject([{ attempt: 1, signal: { aborted: false } }])
    expect(results).toEqual([{ ok: true, events: [], state: { open: false }, sequence: 0, replayed: false }])
  })

  test('a handler receives partial answers completed', async () => {
    const results: object[] = []
    const asking = doing(async (_, { app }) => void results.push(await app.aggregate(account).execute('a', { type: 'Close' })))
    await log.deliveredTo(asking, { answer: () => ({ ok: true, sequence: 4 }) }).inspect()
    await log.deliveredTo(asking, { answer: async () => ({ ok: false, reason: 'no' }) }).inspect()
    expect(results).toEqual([
      { ok: true, events: [], state: { open: false }, sequence: 4, replayed: false },
      { ok: false, reason: 'no', details: undefined },
    ])
  })

  test('a handler receives the same reactions as in an app', async () => {
    const seen: unknown[] = []
    const noting = (name: string) =>
      defineSubscription({
        name,
        aggregates: [transfer],
        handle: (_, { reaction }) => void seen.push(reaction(), reaction('second')),
      })
    for (const name of ['short', 'long'.repeat(45)]) {
      for (const metadata of [{}, { correlationId: 'c' }]) {
        seen.length = 0
        const store = memoryStore()
        const app = createApp({ store, aggregates: { transfer }, subscriptions: { noting: noting(name) } })
        await app.aggregates.transfer.execute('t-1', { type: 'Request', data: requested(5).data }, { metadata })
        await app.drain()
        await app.close()
        await givenLog({ metadata })
          .of(transfer, 't-1', [requested(5)])
          .deliveredTo(noting(name))
          .inspect()
        expect(seen).toHaveLength(4)
        expect(seen.slice(2)).toEqual(seen.slice(0, 2))
      }
    }
  })

  test('handleBatch receives batches', async () => {
    const batches: number[][] = []
    const batching = defineSubscription({
      name: 'batching',
      aggregates: [transfer],
      eventTypes: ['TransferRequested'],
      batchSize: 2,
      handleBatch: async (events, { app, reaction }) => {
        batches.push(events.map(({ data }) => data.amount))
        const amount = events.reduce((sum, { data }) => sum + data.amount, 0)
        const [first] = events
        if (first === undefined) throw new Error('a batch without events')
        await app.aggregate(account).execute('acct-1', { type: 'Withdraw', data: { amount } }, reaction(first))
      },
    })
    const many = givenLog()
      .of(transfer, 't-1', [requested(1), requested(2)])
      .of(account, 'a', [opened('ann')])
      .of(transfer, 't-2', [requested(3)])
    await many.deliveredTo(batching).thenCommands([withdraw(3), withdraw(3)])
    expect(batches).toEqual([[1, 2], [3]])
  })
})

test('inspect() returns the commands with their options', async () => {
  const [first, second, ...more] = await log.deliveredTo(transfers).inspect()
  expect(more).toEqual([])
  expect(first?.aggregate).toBe(account)
  expect(first).toMatchObject({ id: 'acct-1', command: { type: 'Withdraw', data: { amount: 5 } } })
  expect(second?.options).toEqual({
    idempotencyKey: 'transfers/transfer/t-1/1/deposit',
    metadata: { causationId: 'transfer/t-1/1', correlationId: 'transfer/t-1/1' },
  })
})

test('commands are recorded as they were sent, in the order of the calls', async () => {
  const reusing = doing(async (_, { app }) => {
    const command = { type: 'Deposit' as const, data: { amount: 1 } }
    const first = app.aggregate(account).execute('acct-2', command)
    command.data.amount = 2
    await Promise.all([first, app.aggregate(account).execute('acct-2', command)])
  })
  await log.deliveredTo(reusing).thenCommands([deposit(1), deposit(2)])
})

describe('a handler that fails', () => {
  const failing = doing(() => {
    throw new Error('the bank is closed')
  })

  test('thenFails passes when the handler fails with the message', async () => {
    await log.deliveredTo(failing).thenFails('bank is')
    await log.deliveredTo(doing(() => Promise.reject('a text'))).thenFails('a text')
    const refused = new Error('the store is full')
    const full = () => {
      throw refused
    }
    await log.deliveredTo(transfers, { answer: full }).thenFails('store is full')
    await expect(log.deliveredTo(transfers, { answer: full }).thenCommands([])).rejects.toBe(refused)
  })

  test('an error that is not expected passes through', async () => {
    await expect(log.deliveredTo(failing).thenCommands([])).rejects.toThrow('the bank is closed')
    await expect(log.deliveredTo(failing).inspect()).rejects.toThrow('the bank is closed')
  })

  test('thenFails fails for another error and for a success', async () => {
    expect(await failure(log.deliveredTo(failing).thenFails('the shop'))).toBe(
      'The failure of the subscription \'s\' differs.\n  expected: a message with "the shop"\n  actual:   "the bank is closed"',
    )
    expect(await failure(log.deliveredTo(transfers).thenFails('the bank'))).toContain(
      'The subscription \'transfers\' was expected to fail (the bank), but succeeded with [{"aggregate":"account"',
    )
    expect(await failure(log.deliveredTo(doing(() => {})).thenFails('x'))).toContain('succeeded with no commands')
  })

  test('a command that does not fit throws in the handler', async () => {
    const owing = doing((_, { app }) =>
      app
        .aggregate(account)
        .execute('a', { type: 'Withdraw', data: { amount: -1 } })
        .then(() => {}),
    )
    await log.deliveredTo(owing).thenFails("Withdraw on account 'a' is invalid")
    await expect(log.deliveredTo(owing).thenCommands([])).rejects.toMatchObject({ code: 'VALIDATION' })
    const unknown = doing(async (_, { app }) => {
      // @ts-expect-error there is no such command
      await app.aggregate(account).execute('a', { type: 'Nope' })
    })
    await log.deliveredTo(unknown).thenFails("account has no command 'Nope'")
    const nameless = doing(async (_, { app }) => void (await app.aggregate(account).execute('', { type: 'Close' })))
    await log.deliveredTo(nameless).thenFails('the id must not be empty')
  })

  test('the second command with the same reaction() throws', async () => {
    const careless = doing(async (_, { app, reaction }) => {
      await app.aggregate(account).execute('a', { type: 'Close' }, reaction())
      await app.aggregate(account).execute('a', { type: 'Deposit', data: { amount: 1 } }, reaction())
    })
    await log.deliveredTo(careless).thenFails("uses the same reaction() for two commands to account 'a'")
    await expect(log.deliveredTo(careless).inspect()).rejects.toMatchObject({ code: 'DEFINITION' })
    await log.deliveredTo(careless, { answer: () => ({ ok: false, reason: 'no' }) }).inspect()
    await log.deliveredTo(careless, { answer: () => ({ ok: true, events: [] }) }).inspect()
    const repeating = doing(async (_, { app, reaction }) => {
      for (const id of ['a', 'b', 'a']) await app.aggregate(account).execute(id, { type: 'Close' }, reaction())
    })
    await log.deliveredTo(repeating).thenFails("uses the same reaction() for two commands to account 'a'")
  })

  test('the second command with the same idempotencyKey is replayed', async () => {
    const again: boolean[] = []
    const repeating = doing(async (_, { app }) => {
      for (const id of ['a', 'a', 'b']) {
        const result = await app.aggregate(account).execute(id, { type: 'Close' }, { idempotencyKey: 'k' })
        again.push(result.replayed)
      }
    })
    await log.deliveredTo(repeating).inspect()
    expect(again).toEqual([false, true, false])
  })
})

describe('limits of givenLog', () => {
  test.each(['load', 'events', 'ids'] as const)(
    '%s of an aggregate fails the test even if the handler swallows the error',
    async (method) => {
      const reading = doing(async (_, { app }) => {
        try {
          await app.aggregate(account)[method]('a' as never)
        } catch {}
      })
      const message = `The subscription 's' calls ${method} of account, but this test has no store.`
      expect(await failure(log.deliveredTo(reading).thenCommands([]))).toContain(message)
      expect(await failure(log.deliveredTo(reading).thenFails('no store'))).toContain(message)
    },
  )

  test('a command that is not awaited fails the test', async () => {
    const hasty = doing((_, { app }) => void app.aggregate(account).execute('a', { type: 'Close' }))
    expect(await failure(log.deliveredTo(hasty).thenCommands([]))).toBe(
      "The subscription 's' ended while a command on account 'a' was in progress. Await the promise of execute.",
    )
  })
})
