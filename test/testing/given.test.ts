import { AssertionError } from 'node:assert'
import { defineAggregate, defineView, isCqrsError, reject, typed } from 'cqrs-es'
import { given } from 'cqrs-es/testing'
import { describe, expect, test } from 'vitest'
import { balances, bankAccount } from '../support/bank-account.ts'

const opened = { type: 'AccountOpened', data: { owner: 'ann' } } as const
const deposited = (amount: number, balance: number) => ({ type: 'MoneyDeposited', data: { amount, balance } }) as const
const deposit = (amount: number) => ({ type: 'DepositMoney', data: { amount } }) as const
const services = { validateCheck: async (_: string, check: string) => check !== 'bad' }

/** The message of the failure, which must be an AssertionError. */
async function failure(check: Promise<void>): Promise<string> {
  const error = await check.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(AssertionError)
  return (error as AssertionError).message
}

describe('passing checks', () => {
  test('given() starts with no events, some, or more by and()', async () => {
    await given(bankAccount)
      .when({ type: 'OpenAccount', data: { owner: 'ann' } })
      .thenEvents([opened])
    await given(bankAccount, [opened])
      .when(deposit(5))
      .thenEvents([deposited(5, 5)])
    await given(bankAccount, [opened])
      .and([deposited(5, 5)])
      .when(deposit(2))
      .thenEvents([deposited(2, 7)])
    await given(bankAccount, [opened])
      .and([deposited(5, 5)])
      .thenView(balances, { owner: 'ann', balance: 5 })
  })

  test('when() awaits an asynchronous handler, also one that rejects the command', async () => {
    const order: string[] = []
    const slow = defineAggregate({
      type: 'slow',
      events: { Done: typed<{ n: number }>() },
      commands: { Do: typed<{ n: number }>() },
      initialState: () => ({ n: 0 }),
    }).implement({
      handle: {
        Do: async (_, { n }) => {
          await new Promise((resolve) => setImmediate(resolve))
          order.push(`handled ${n}`)
          return n > 1 ? reject('too-much') : { type: 'Done', data: { n } }
        },
      },
      apply: { Done: (_, { n }) => ({ n }) },
    })
    await given(slow)
      .when({ type: 'Do', data: { n: 1 } })
      .thenEvents([{ type: 'Done', data: { n: 1 } }])
    order.push('then')
    await given(slow)
      .when({ type: 'Do', data: { n: 2 } })
      .thenRejected('too-much')
    order.push('then')
    expect(order).toEqual(['handled 1', 'then', 'handled 2', 'then'])
  })

  test('thenRejected checks the reason and optionally its details', async () => {
    const poor = given(bankAccount, [opened, deposited(5, 5)], { services })
    const check = poor.when({ type: 'WriteCheck', data: { check: '1', amount: 6 } })
    await check.thenRejected('insufficient-funds')
    await check.thenRejected('insufficient-funds', { balance: 5 })
    await poor.when({ type: 'WriteCheck', data: { check: 'bad', amount: 1 } }).thenRejected('check-invalid')
  })

  test('thenNothing, thenState, thenView, thenIncludes and thenEventsMatching pass', async () => {
    await given(bankAccount).when({ type: 'CloseAccount' }).thenNothing()
    const account = given(bankAccount, [opened])
    await account.thenState({ status: 'open', balance: 0 })
    await account.thenView(balances, { owner: 'ann', balance: 0 })
    await account.when(deposit(3)).thenState({ status: 'open', balance: 3 })
    await account.when(deposit(3)).thenView(balances, { owner: 'ann', balance: 3 })
    await account.when({ type: 'CloseAccount' }).thenView(balances, undefined)
    await account.when(deposit(3)).thenIncludes([deposited(3, 3)])
    await account.when(deposit(3)).thenEventsMatching((events) => events.length === 1)
    await account.when({ type: 'CloseAccount' }).thenEvents([{ type: 'AccountClosed' }])
  })

  test('one given() serves many commands', async () => {
    const account = given(bankAccount, [opened])
    await account.when(deposit(1)).thenEvents([deposited(1, 1)])
    await account.when(deposit(2)).thenEvents([deposited(2, 2)])
  })

  test('inspect() returns the result', async () => {
    const result = await given(bankAccount, [opened]).when(deposit(1)).inspect()
    expect(result).toEqual({ ok: true, events: [deposited(1, 1)], state: { status: 'open', balance: 1 } })
    const refused = await given(bankAccount).when(deposit(1)).inspect()
    expect(refused).toEqual({ ok: false, reason: 'not-open', details: undefined })
  })

  test('given() fixes the clock, the id and the metadata', async () => {
    const clock = defineAggregate({
      type: 'clock',
      events: { Read: typed<{ at: string; id: string; by: unknown; sequence: number }>() },
      commands: { Read: typed<Record<string, never>>() },
      initialState: () => ({}),
    }).implement({
      handle: {
        Read: (_, __, { now, aggregateId, metadata, sequence }) => ({
          type: 'Read',
          data: { at: now.toISOString(), id: aggregateId, by: metadata.userId, sequence },
        }),
      },
      apply: { Read: (state) => state },
    })
    const read = { at: '2000-01-01T00:00:00.000Z', id: 'test', by: 'ann', sequence: 0 }
    await given(clock, [], { metadata: { userId: 'ann' } })
      .when({ type: 'Read', data: {} })
      .thenEvents([{ type: 'Read', data: read }])
    const now = new Date('2020-02-02T02:02:02.020Z')
    await given(clock, [{ type: 'Read', data: read }], { now, aggregateId: 'c9', metadata: { userId: 'bob' } })
      .when({ type: 'Read', data: {} })
      .thenEvents([{ type: 'Read', data: { at: '2020-02-02T02:02:02.020Z', id: 'c9', by: 'bob', sequence: 1 } }])
  })
})

describe('thenThrows', () => {
  class Insufficient extends Error {
    readonly balance = 3
  }
  const purse = defineAggregate({
    type: 'purse',
    events: {},
    commands: { Pay: typed<{ how: 'throw' | 'reject' | 'later' | 'value' | 'fine' }>() },
    initialState: () => ({}),
  }).implement({
    handle: {
      Pay: async (_, { how }) => {
        if (how === 'later') await new Promise((resolve) => setImmediate(resolve))
        if (how === 'value') throw 'no error at all'
        if (how === 'reject') return reject('empty', { balance: 3 })
        if (how === 'fine') return undefined
        throw new Insufficient('the purse holds 3')
      },
    },
    apply: {},
  })
  const pay = (how: 'throw' | 'reject' | 'later' | 'value' | 'fine') => given(purse).when({ type: 'Pay', data: { how } })

  test.each(['throw', 'later'] as const)(
    'thenThrows passes when the handler throws, by message and by value (%s)',
    async (how) => {
      const seen: unknown[] = []
      await pay(how).thenThrows()
      await pay(how).thenThrows('purse holds 3')
      await pay(how).thenThrows((error) => seen.push(error))
      await pay(how).thenThrows((error) => error instanceof Insufficient && error.balance === 3)
      expect(seen).toEqual([new Insufficient('the purse holds 3')])
    },
  )

  test('thenThrows passes for a thrown text and for a command that does not fit', async () => {
    await pay('value').thenThrows('no error')
    await given(purse)
      .when({ type: 'Pay', data: { how: Number.NaN } } as never)
      .thenThrows((error) => isCqrsError(error, 'VALIDATION'))
  })

  test('thenThrows shows the message when the error is another one', async () => {
    const message = await failure(pay('throw').thenThrows('holds 4'))
    expect(message).toContain('The error of Pay differs.\n  expected: a message with "holds 4"\n  actual:   "the purse holds 3"')
    expect(await failure(pay('throw').thenThrows(() => false))).toContain('The error of Pay does not match: the purse holds 3')
    expect(await failure(pay('throw').thenThrows(async () => false))).toContain('does not match')
    const checked = pay('throw').thenThrows(() => {
      throw new Error('my own check')
    })
    await expect(checked).rejects.toThrow('my own check')
  })

  test('thenThrows fails when the command is accepted or rejected', async () => {
    expect(await failure(pay('fine').thenThrows('x'))).toContain(
      'Pay was expected to throw (x), but was accepted with no events.',
    )
    expect(await failure(pay('reject').thenThrows())).toContain(
      'Pay was expected to throw, but was rejected: empty {"balance":3}.',
    )
  })
})

describe('failing checks', () => {
  const pair = defineAggregate({
    type: 'pair',
    events: { Left: typed<{ n: number }>(), Right: typed<{ n: number; note?: string }>() },
    commands: { Both: typed<{ n: number }>() },
    initialState: () => ({ sum: 0 }),
  }).implement({
    handle: {
      Both: (_, { n }) => [
        { type: 'Left', data: { n } },
        { type: 'Right', data: { n, note: 'r' } },
      ],
    },
    apply: { Left: (state, { n }) => ({ sum: state.sum + n }), Right: (state, { n }) => ({ sum: state.sum + n }) },
  })
  const left = { type: 'Left', data: { n: 1 } } as const
  const right = { type: 'Right', data: { n: 1, note: 'r' } } as const
  const both = given(pair).when({ type: 'Both', data: { n: 1 } })

  test('thenEvents takes exactly these events in this order', async () => {
    await both.thenEvents([left, right])
    for (const other of [[], [left], [right, left], [left, right, right], [left, { ...right, data: { n: 2, note: 'r' } }]])
      expect(await failure(both.thenEvents(other))).toContain('Events of Both: the decision differs')
  })

  test('thenEvents fails on another event and on a rejection', async () => {
    expect(
      await failure(
        given(bankAccount, [opened])
          .when(deposit(1))
          .thenEvents([deposited(1, 2)]),
      ),
    ).toContain('at [0].data.balance.\n  expected: 2\n  actual:   1')
    expect(
      await failure(
        given(bankAccount)
          .when(deposit(1))
          .thenEvents([deposited(1, 1)]),
      ),
    ).toContain('DepositMoney was rejected: not-open')
  })

  test.each([
    ['another order', [right, left], 'at [0].type.\n  expected: "Right"\n  actual:   "Left"'],
    ['a missing field', [left, { type: 'Right', data: { n: 1 } }], 'at [1].data.note.\n  expected: nothing\n  actual:   "r"'],
    ['another value', [left, { type: 'Right', data: { n: 2, note: 'r' } }], 'at [1].data.n.\n  expected: 2\n  actual:   1'],
    ['a missing event', [left], 'at [1].\n  expected: nothing'],
    ['a surplus event', [left, right, right], 'at [2].\n  expected: {"type":"Right"'],
    ['no events at all', [], 'at [0].\n  expected: nothing'],
  ] as const)('thenEvents fails and shows the difference for %s', async (_, expected, message) => {
    expect(await failure(both.thenEvents(expected))).toContain(message)
  })

  test('thenIncludes fails for an event that was not decided or too rarely', async () => {
    expect(await failure(both.thenIncludes([{ type: 'Left', data: { n: 3 } }]))).toContain('lack {"type":"Left","data":{"n":3}}')
    expect(await failure(both.thenIncludes([left, left]))).toContain('lack {"type":"Left"')
    await both.thenIncludes([right])
  })

  test('thenEventsMatching fails when the check returns false', async () => {
    expect(await failure(both.thenEventsMatching(() => false))).toContain('do not match')
  })

  test('thenRejected fails for events, and other checks fail for a rejection', async () => {
    const account = given(bankAccount, [opened])
    expect(await failure(account.when(deposit(1)).thenRejected('not-open'))).toContain(
      'was expected to be rejected (not-open), but was accepted',
    )
    expect(await failure(given(bankAccount).when(deposit(1)).thenEvents([]))).toContain('DepositMoney was rejected: not-open')
    expect(await failure(given(bankAccount).when(deposit(1)).thenNothing())).toContain('was rejected: not-open')
    expect(await failure(given(bankAccount).when(deposit(1)).thenState({ status: 'new' }))).toContain('was rejected: not-open')
  })

  test('thenRejected fails for another reason or other details', async () => {
    const poor = given(bankAccount, [opened], { services }).when({ type: 'WriteCheck', data: { check: '1', amount: 6 } })
    expect(await failure(poor.thenRejected('not-open'))).toContain('expected: "not-open"\n  actual:   "insufficient-funds"')
    expect(await failure(poor.thenRejected('insufficient-funds', { balance: 1 }))).toContain('differs at balance')
  })

  test('thenNothing, thenState and thenView fail and show the difference', async () => {
    const account = given(bankAccount, [opened])
    expect(await failure(account.when(deposit(1)).thenNothing())).toContain('at [0]')
    expect(await failure(account.when(deposit(1)).thenState({ status: 'open', balance: 2 }))).toContain('differs at balance')
    expect(await failure(account.thenState({ status: 'new' }))).toContain('differs at status')
    expect(await failure(account.thenView(balances, undefined))).toContain("The view 'balances' of 'test' differs")
    expect(await failure(account.thenView(balances, { owner: 'bob', balance: 0 }))).toContain('differs at owner')
  })

  test('thenView fails for a view of other aggregates', async () => {
    const sums = defineView({ name: 'sums', aggregates: [pair], initialView: () => ({ n: 0 }), update: {} })
    expect(await failure(given(bankAccount).thenView(sums, undefined))).toContain("does not follow the aggregate 'account'")
  })

  test('a missing service fails the test and is named', async () => {
    const account = given(bankAccount, [opened, deposited(5, 5)])
    expect(await failure(account.when({ type: 'WriteCheck', data: { check: '1', amount: 1 } }).thenNothing())).toContain(
      "uses the service 'validateCheck'",
    )
  })
})

describe('errors of an aggregate', () => {
  const careless = (apply: (state: { list: number[]; extra?: unknown }, n: number) => { list: number[]; extra?: unknown }) =>
    defineAggregate({
      type: 'careless',
      events: { Added: typed<{ n: number }>() },
      commands: { Add: typed<{ n: number }>() },
      initialState: (): { list: number[]; extra?: unknown } => ({ list: [] }),
    }).implement({
      handle: { Add: (_, { n }) => ({ type: 'Added', data: { n } }) },
      apply: { Added: (state, { n }) => apply(state, n) },
    })
  const add = { type: 'Add', data: { n: 1 } } as const

  test('an apply that changes its state throws ApplyError', async () => {
    const mutating = careless((state, n) => {
      state.list.push(n)
      return state
    })
    await expect(
      given(mutating)
        .when(add)
        .thenEvents([{ type: 'Added', data: { n: 1 } }]),
    ).rejects.toMatchObject({ code: 'APPLY' })
  })

  test('a state that is not JSON fails and is named', async () => {
    const mapping = careless((state) => ({ ...state, extra: { seen: new Map() } }))
    const message = await failure(
      given(mapping)
        .when(add)
        .thenEvents([{ type: 'Added', data: { n: 1 } }]),
    )
    expect(message).toContain('apply.Added of careless made a state that is not JSON: extra.seen is a Map')
  })

  test('given() throws for events that do not fit', () => {
    // @ts-expect-error the amount is a number
    expect(() => given(bankAccount, [{ type: 'MoneyDeposited', data: { amount: 'x', balance: 1 } }])).toThrow(
      /given\(…\) of account 'test' has MoneyDeposited/,
    )
    // @ts-expect-error there is no such event
    expect(() => given(bankAccount, [{ type: 'Nope' }])).toThrow(/unknown type 'Nope'/)
  })

  test('an error of the command passes through', async () => {
    // @ts-expect-error there is no such command
    await expect(given(bankAccount).when({ type: 'Nope' }).thenNothing()).rejects.toMatchObject({ code: 'VALIDATION' })
    await expect(given(bankAccount).when(deposit(-1)).thenNothing()).rejects.toMatchObject({ code: 'VALIDATION' })
  })

  test('given() throws for an unknown option', () => {
    // @ts-expect-error there is no such option
    expect(() => given(bankAccount, [], { service: services })).toThrow(/no option 'service'/)
  })
})
