import { type } from 'arktype'
import {
  createApp,
  defineAggregate,
  defineSubscription,
  defineView,
  noData,
  type Position,
  type Rejection,
  type RejectionsOf,
  reject,
  type StateOf,
  type Store,
  semanticVersionUpcaster,
  typed,
  versions,
} from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { given, givenLog } from 'cqrs-es/testing'
import * as v from 'valibot'
import { z } from 'zod'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Equal<A, B>) => {}

type Account = { status: 'new' } | { status: 'open'; balance: number }
interface BankServices {
  validateCheck(account: string, check: string): Promise<boolean>
}

export const bankAccount = defineAggregate({
  type: 'account',
  events: {
    AccountOpened: z.object({ owner: z.string() }),
    MoneyDeposited: v.object({ amount: v.number(), balance: v.number() }),
    CheckWritten: typed<{ check: string; amount: number; balance: number }>(),
    NoteAdded: type({ note: 'string' }),
    AccountClosed: noData,
  },
  commands: {
    OpenAccount: z.object({ owner: z.string() }),
    DepositMoney: z.object({ amount: z.coerce.number().positive() }),
    WriteCheck: z.object({ check: z.string(), amount: z.number().positive() }),
    CloseAccount: noData,
    Audit: typed<{ by: string }>(),
  },
  services: typed<BankServices>(),
  initialState: (): Account => ({ status: 'new' }),
}).implement({
  handle: {
    OpenAccount: (account, { owner }) =>
      account.status === 'new' ? { type: 'AccountOpened', data: { owner } } : reject('already-open'),
    DepositMoney: (account, { amount }, { apply, event }) => {
      if (account.status !== 'open') return reject('not-open')
      const deposited = event.MoneyDeposited({ amount, balance: account.balance + amount })
      const next = apply(account, deposited, event.AccountClosed())
      return next.status === 'open' && next.balance > 5
        ? [deposited, { type: 'CheckWritten', data: { check: 'fee', amount: 1, balance: 1 } }, { type: 'AccountClosed' }]
        : deposited
    },
    WriteCheck: async (account, { check, amount }, { services, aggregateId }) => {
      if (account.status !== 'open') return reject('not-open')
      if (account.balance < amount) return reject('insufficient-funds', { balance: account.balance })
      if (!(await services.validateCheck(aggregateId, check))) return reject('check-invalid')
      return { type: 'CheckWritten', data: { check, amount, balance: account.balance - amount } }
    },
    CloseAccount: () => {},
    Audit: (_, { by }) => ({ type: 'NoteAdded', data: { note: by } }),
  },
  apply: {
    AccountOpened: () => ({ status: 'open', balance: 0 }),
    MoneyDeposited: (account, { balance }) => ({ ...account, status: 'open', balance }),
    CheckWritten: (account, { balance }) => ({ ...account, status: 'open', balance }),
    NoteAdded: (account) => account,
    AccountClosed: () => ({ status: 'new' }),
  },
})

declare const store: Store
declare const services: { account: BankServices }
const app = createApp({ store, aggregates: { account: bankAccount }, services })
const { account } = app.aggregates

// results
const written = await account.execute('a', { type: 'WriteCheck', data: { check: '1', amount: 1 } })
if (written.ok) {
  for (const event of written.events) if (event.type === 'MoneyDeposited') same<number, typeof event.data.balance>(true)
  same<Account, typeof written.state>(true)
} else {
  same<'not-open' | 'insufficient-funds' | 'check-invalid', typeof written.reason>(true)
  if (written.reason === 'insufficient-funds') same<number, typeof written.details.balance>(true)
}
const closed = await account.execute('a', { type: 'CloseAccount' })
same<true, typeof closed.ok>(true)
const again = await account.execute('a', { type: 'DepositMoney', data: { amount: '1' } }, { idempotencyKey: 'k' })
if (again.ok) same<Position | undefined, (typeof again.events)[0]['position']>(true)
else same<'not-open', typeof again.reason>(true)
same<Account, StateOf<typeof bankAccount>>(true)
same<never, RejectionsOf<typeof bankAccount, 'CloseAccount'>>(true)
same<Rejection<'not-open', undefined>, RejectionsOf<typeof bankAccount, 'DepositMoney'>>(true)
for await (const event of account.events('a')) if (event.type === 'AccountOpened') same<string, typeof event.data.owner>(true)
for await (const event of app.events()) same<'account', typeof event.aggregateType>(true)

// @ts-expect-error unknown command
account.execute('a', { type: 'Nope', data: {} })
// @ts-expect-error wrong data
account.execute('a', { type: 'WriteCheck', data: { check: '1', amount: 'x' } })
// @ts-expect-error data missing
account.execute('a', { type: 'OpenAccount' })
// @ts-expect-error data where there is none
account.execute('a', { type: 'CloseAccount', data: { now: true } })
// @ts-expect-error misspelt option
account.execute('a', { type: 'CloseAccount' }, { idempotenceKey: 'k' })
// @ts-expect-error services missing
createApp({ store, aggregates: { account: bankAccount } })
// @ts-expect-error services of another shape
createApp({ store, aggregates: { account: bankAccount }, services: { account: {} } })
// @ts-expect-error misspelt option of createApp
createApp({ store, aggregates: { account: bankAccount }, services, view: {} })

// definitions
const base = defineAggregate({
  type: 'x',
  events: { A: z.object({ n: z.number() }), B: typed<{ m: string; o?: number }>() },
  commands: { a: z.object({ n: z.number() }), b: typed<{ m: string }>() },
  initialState: () => ({ n: 0 }),
})
const apply = { A: (s: { n: number }) => s, B: (s: { n: number }) => s }
// @ts-expect-error misspelt event type
base.implement({ handle: { a: () => ({ type: 'AA', data: { n: 1 } }), b: () => undefined }, apply })
// @ts-expect-error missing apply
base.implement({ handle: { a: () => undefined, b: () => undefined }, apply: { A: (s) => s } })
// @ts-expect-error missing handler
base.implement({ handle: { a: () => undefined }, apply })
// @ts-expect-error extra handler
base.implement({ handle: { a: () => undefined, b: () => undefined, c: () => undefined }, apply })
// @ts-expect-error extra apply
base.implement({ handle: { a: () => undefined, b: () => undefined }, apply: { A: (s) => s, B: (s) => s, C: (s: never) => s } })
// @ts-expect-error wrong data in an event
base.implement({ handle: { a: () => ({ type: 'A', data: { n: 'x' } }), b: () => undefined }, apply })
// @ts-expect-error surplus field in an event
base.implement({ handle: { a: () => ({ type: 'A', data: { n: 1, nn: 2 } }), b: () => undefined }, apply })
base.implement({
  handle: {
    // @ts-expect-error surplus field in one event of a list
    a: () => [
      { type: 'A', data: { n: 1 } },
      { type: 'B', data: { m: '', extra: 1 } },
    ],
    b: () => undefined,
  },
  apply,
})
base.implement({
  handle: {
    a: () => undefined,
    // @ts-expect-error surplus field in the event of an asynchronous handler
    b: async () => ({ type: 'B', data: { m: '', oo: 1 } }),
  },
  apply,
})
base.implement({
  handle: { a: () => undefined, b: () => undefined },
  // @ts-expect-error an apply that returns another state
  apply: { A: () => ({ m: 0 }), B: (s) => s },
})
// @ts-expect-error a state must be made from nothing
defineAggregate({ type: 'y', events: {}, commands: {}, initialState: { n: 0 } })
const counter = base.implement({
  handle: {
    a: (state, data) => [
      { type: 'A', data: { n: data.n + state.n } },
      { type: 'B', data: { m: '', o: 1 } },
    ],
    b: () => undefined,
  },
  apply: { A: (_, data) => ({ n: data.n }), B: (state) => state },
})
const plain = createApp({ store, aggregates: { x: counter } })
const counted = await plain.aggregates.x.execute('1', { type: 'a', data: { n: 1 } })
same<true, typeof counted.ok>(true)

// several aggregates
const both = createApp({
  store,
  aggregates: { account: bankAccount, counter },
  services,
  queries: [
    (events) => {
      for (const event of events) {
        if (event.type === 'AccountOpened') same<'account', typeof event.aggregateType>(true)
        if (event.aggregateType === 'x' && event.type === 'A') same<number, typeof event.data.n>(true)
      }
    },
  ],
})
await both.aggregates.counter.load('1', { asOf: 1 })

// views
const balances = defineView({
  name: 'balances',
  aggregates: [bankAccount],
  initialView: () => ({ owner: '', balance: 0, tags: ['x'] }),
  id: (event) => (event.type === 'AccountOpened' ? [event.aggregateId, event.data.owner] : event.aggregateId),
  update: {
    AccountOpened: (view, event) => ({ ...view, owner: event.data.owner }),
    MoneyDeposited: (view, event) => (event.data.balance < 0 ? null : { ...view, balance: event.data.balance }),
    AccountClosed: () => null,
  },
  indexes: ['owner'],
})
const withViews = createApp({ store, aggregates: { account: bankAccount }, views: { balances }, services })
const row = await withViews.views.balances.load('a')
if (row !== undefined) same<number, typeof row.view.balance>(true)
const found = await withViews.views.balances.find({ owner: 'ann' }, { limit: 2 })
same<string, (typeof found.items)[number]['view']['owner']>(true)
// @ts-expect-error not an index
withViews.views.balances.find({ balance: 1 })
// @ts-expect-error not what the index holds
withViews.views.balances.find({ owner: 1 })
const options = { name: 'v', aggregates: [bankAccount], initialView: () => ({ owner: '', tags: ['x'] }) } as const
// @ts-expect-error an event the aggregate does not have
defineView({ ...options, update: { Nope: (view) => view } })
// @ts-expect-error no such field to index
defineView({ ...options, update: {}, indexes: ['ownr'] })
// @ts-expect-error a list cannot be an index
defineView({ ...options, update: {}, indexes: ['tags'] })
// @ts-expect-error the update makes another view
defineView({ ...options, update: { AccountClosed: () => ({ x: 1 }) } })

// subscriptions, and views behind the events
const mailer = defineSubscription({
  name: 'mailer',
  aggregates: [bankAccount],
  eventTypes: ['AccountOpened'],
  handle: async (event, { app, reaction }) => {
    same<string, typeof event.data.owner>(true)
    const result = await app
      .aggregate(bankAccount)
      .execute(event.data.owner, { type: 'DepositMoney', data: { amount: 1 } }, reaction())
    if (!result.ok) same<'not-open', typeof result.reason>(true)
    // @ts-expect-error no such command
    await app.aggregate(bankAccount).execute('a', { type: 'Nope' })
  },
})
// @ts-expect-error an event the aggregate does not have
defineSubscription({ name: 's', aggregates: [bankAccount], eventTypes: ['Nope'], handle: () => {} })
// @ts-expect-error the wrong type of event
defineSubscription({ name: 's', aggregates: [bankAccount], eventTypes: ['AccountClosed'], handle: (event) => event.data.owner })
// @ts-expect-error neither handle nor handleBatch
defineSubscription({ name: 's', aggregates: [bankAccount] })
// @ts-expect-error both of them
defineSubscription({ name: 's', aggregates: [bankAccount], handle: () => {}, handleBatch: () => {} })
// @ts-expect-error a size of what is no batch
defineSubscription({ name: 's', aggregates: [bankAccount], handle: () => {}, batchSize: 2 })
defineSubscription({
  name: 's',
  aggregates: [bankAccount],
  eventTypes: ['AccountOpened'],
  handleBatch: ([first]) => void (first && same<string, typeof first.data.owner>(true)),
  batchSize: 2,
})
const behind = defineView({ ...options, update: {}, indexes: ['owner'], consistency: 'async' })
const following = createApp({
  store,
  aggregates: { account: bankAccount },
  services,
  views: { behind },
  subscriptions: { mailer },
})
await following.views.behind.find({ owner: { gte: 'a', lt: 'b' } }, { orderBy: 'owner', descending: true })
// @ts-expect-error no index
await following.views.behind.find({}, { orderBy: 'tags' })
// @ts-expect-error not of the index's type
await following.views.behind.find({ owner: { gte: 1 } })
const live = following.views.behind.changes({
  where: { owner: { gte: 'a' } },
  after: '1.7',
  signal: new AbortController().signal,
})
for await (const change of live) {
  if (change.kind === 'changed') same<string, typeof change.view.owner>(true)
  if (change.kind === 'reload') same<'rebuilt' | 'too-many' | 'too-old', typeof change.because>(true)
  // @ts-expect-error only a changed row has content
  change.view
}
// @ts-expect-error no index
following.views.behind.changes({ where: { tags: 'a' } })
// @ts-expect-error changes have no pages
following.views.behind.changes({ limit: 3 })
// @ts-expect-error no such view
await following.waitFor('behnd', '1' as Position)
await following.subscriptions.mailer.caughtUp()
// @ts-expect-error no such subscription
following.subscriptions.mialer
// @ts-expect-error a view is no subscription
createApp({ store, aggregates: {}, subscriptions: { behind } })

// evolution
const deposited = versions('2.0', z.object({ amount: z.number() }), { '1.0': (old: { amt: number }) => ({ amount: old.amt }) })
const upcaster = semanticVersionUpcaster('Deposited', '1.2.0', (data) => ({ ...data, currency: 'EUR' }))
const evolved = defineAggregate({
  type: 'evolved',
  events: { Deposited: deposited },
  commands: { Deposit: z.object({ amount: z.number() }) },
  initialState: () => ({ sum: 0 }),
  upcasters: [upcaster],
}).implement({
  handle: { Deposit: (_, { amount }) => ({ type: 'Deposited', data: { amount } }) },
  apply: { Deposited: (state, { amount }) => ({ sum: state.sum + amount }) },
})
same<{ sum: number }, StateOf<typeof evolved>>(true)
// @ts-expect-error an older version must become current data
versions('2.0', z.object({ amount: z.number() }), { '1.0': () => ({ amt: 1 }) })

// the test kit
await given(bankAccount, [{ type: 'AccountOpened', data: { owner: 'ann' } }])
  .when({ type: 'WriteCheck', data: { check: '1', amount: 1 } })
  .thenRejected('insufficient-funds', { balance: 0 })
// @ts-expect-error no such event
given(bankAccount, [{ type: 'Nope', data: {} }])
const account0 = given(bankAccount)
// @ts-expect-error not a reason of this command
account0.when({ type: 'DepositMoney', data: { amount: 1 } }).thenRejected('insufficient-funds')
// @ts-expect-error cannot be refused
account0.when({ type: 'CloseAccount' }).thenRejected('not-open')
// @ts-expect-error not a state
given(bankAccount).thenState({ status: 'closed' })

const log = givenLog({ metadata: { userId: 'u' } })
  .of(bankAccount, 'a', [{ type: 'AccountOpened', data: { owner: 'ann' } }, { type: 'AccountClosed' }])
  .of(counter, 'c', [{ type: 'A', data: { n: 1 } }])
await log.thenView(balances, 'ann', { owner: 'ann', balance: 0, tags: [] })
await log.thenView(balances, 'bob', undefined)
const counting = defineSubscription({
  name: 'counting',
  aggregates: [bankAccount],
  handle: async (event, { app }) => {
    await app.aggregate(counter).execute(event.aggregateId, { type: 'a', data: { n: 1 } })
  },
})
const delivered = log.deliveredTo(counting, {
  answer: ({ command }) => (command.type === 'a' ? { ok: false, reason: 'closed' } : undefined),
})
const count = { aggregate: counter, id: 'a', command: { type: 'a', data: { n: 1 } } } as const
await delivered.thenCommands([])
await delivered.thenCommands([count, { aggregate: bankAccount, id: 'a', command: { type: 'CloseAccount' } }])
await delivered.thenCommands(
  ['a', 'b'].map((id) => ({ aggregate: bankAccount, id, command: { type: 'Audit', data: { by: id } } as const })),
)
await delivered.thenFails('closed')
const [sent] = await delivered.inspect()
same<string | undefined, NonNullable<typeof sent>['options']['idempotencyKey']>(true)
// @ts-expect-error the event of another aggregate
log.of(bankAccount, 'a', [{ type: 'A', data: { n: 1 } }])
// @ts-expect-error wrong data
log.of(counter, 'c', [{ type: 'A', data: { n: '1' } }])
// @ts-expect-error not what the view holds
log.thenView(balances, 'ann', { owner: 'ann', balance: '0', tags: [] })
// @ts-expect-error a view is no subscription
log.deliveredTo(balances)
// @ts-expect-error the answer has no reason
log.deliveredTo(counting, { answer: () => ({ ok: false }) })
// @ts-expect-error the command of another aggregate
delivered.thenCommands([{ aggregate: counter, id: 'a', command: { type: 'CloseAccount' } }])
// @ts-expect-error wrong data in a command, after a right one
delivered.thenCommands([count, { aggregate: counter, id: 'a', command: { type: 'a', data: { n: '1' } } }])
// @ts-expect-error data missing
delivered.thenCommands([{ aggregate: bankAccount, id: 'a', command: { type: 'OpenAccount' } }])
// @ts-expect-error no id
delivered.thenCommands([{ aggregate: counter, command: { type: 'a', data: { n: 1 } } }])

// HTTP
const api = createHandler(withViews, {
  authorize: async (request, action) => {
    if (action.kind === 'command') {
      same<'account', typeof action.aggregate>(true)
      same<'OpenAccount' | 'DepositMoney' | 'WriteCheck' | 'CloseAccount' | 'Audit', typeof action.command>(true)
    }
    if (action.kind === 'row') same<'balances', typeof action.view>(true)
    // @ts-expect-error no such aggregate
    if (action.kind === 'state' && action.aggregate === 'acount') return { ok: false, status: 403 }
    const userId = request.headers.get('user')
    return userId === null ? { ok: false, status: 401, challenge: 'Bearer' } : { ok: true, caller: { userId } }
  },
  metadata: (_, caller) => {
    same<{ userId: string }, typeof caller>(true)
    return { userId: caller.userId }
  },
  expose: { aggregates: { account: { commands: ['OpenAccount', 'DepositMoney'], state: false } }, views: ['balances'] },
  waitFor: ['balances'],
})
same<(request: Request, platform?: unknown) => Promise<Response>, typeof api>(true)
createHandler(createApp({ store, aggregates: { counter } }), { authorize: 'none' })
// @ts-expect-error nobody has thought about who may use it
createHandler(withViews, {})
// @ts-expect-error neither yes nor no
createHandler(withViews, { authorize: () => {} })
// @ts-expect-error no status but 401 and 403
createHandler(withViews, { authorize: () => ({ ok: false, status: 404 }) })
// @ts-expect-error no such aggregate
createHandler(withViews, { authorize: 'none', expose: { aggregates: { acount: {} } } })
// @ts-expect-error no such command
createHandler(withViews, { authorize: 'none', expose: { aggregates: { account: { commands: ['Nope'] } } } })
// @ts-expect-error no such view
createHandler(withViews, { authorize: 'none', waitFor: ['balance'] })

// Fixtures of tests may be read-only throughout.
{
  const basket = defineAggregate({
    type: 'basket',
    events: { Filled: typed<{ items: { sku: string; tags: string[] }[]; at?: { pair: [number, number] } }>(), Paid: noData },
    commands: { Fill: typed<{ items: { sku: string; tags: string[] }[] }>(), Pay: noData },
    initialState: (): { items: string[] } => ({ items: [] }),
  }).implement({
    handle: {
      Fill: (_, data) => (data.items.length === 0 ? reject('empty', { missing: ['items'] }) : { type: 'Filled', data }),
      Pay: () => ({ type: 'Paid' }),
    },
    apply: { Filled: (_, { items }) => ({ items: items.map(({ sku }) => sku) }), Paid: (state) => state },
  })
  const skus = defineView({
    name: 'skus',
    aggregates: [basket],
    initialView: (): { skus: string[] } => ({ skus: [] }),
    update: { Filled: (_, event) => ({ skus: event.data.items.map(({ sku }) => sku) }) },
  })
  const data = { items: [{ sku: 'tea', tags: ['hot', 'green'] }], at: { pair: [1, 2] } } as const
  const filled = [{ type: 'Filled', data }, { type: 'Paid' }] as const
  const state = { items: ['tea'] } as const
  const fill = { type: 'Fill', data: { items: data.items } } as const
  const filling = given(basket, filled).and(filled)
  void filling.thenState(state)
  void filling.thenView(skus, { skus: ['tea'] } as const)
  void filling.when(fill).thenEvents(filled)
  void filling.when(fill).thenIncludes(filled)
  void filling.when(fill).thenState(state)
  void filling.when(fill).thenRejected('empty', { missing: ['items'] } as const)
  void given(basket, [{ type: 'Filled', data: { items: [] } }])
  // @ts-expect-error no such field
  void given(basket, [{ type: 'Filled', data: { items: [], more: 1 } }])
  // @ts-expect-error no text
  void given(basket, [{ type: 'Filled', data: { items: [{ sku: 1, tags: [] }] } }])
  // @ts-expect-error no such event
  void given(basket, [{ type: 'Emptied' }] as const)
  const log = givenLog().of(basket, 'b', filled)
  void log.thenView(skus, 'b', { skus: ['tea'] } as const)
  const echo = defineSubscription({
    name: 'echo',
    aggregates: [basket],
    // Handlers may return anything.
    handle: (event, { app, reaction }) => app.aggregate(basket).execute(event.aggregateId, { type: 'Pay' }, reaction()),
  })
  const commands = [{ aggregate: basket, id: 'b', command: fill }] as const
  void log.deliveredTo(echo).thenCommands(commands)
  void defineSubscription({
    name: 'echoes',
    aggregates: [basket],
    handleBatch: (events, { app, reaction }) =>
      Promise.all(
        events.map((event) => app.aggregate(basket).execute(event.aggregateId, { type: 'Pay' }, reaction(event, 'paid'))),
      ),
  })
  // @ts-expect-error a batch has no event of its own
  void defineSubscription({ name: 'x', aggregates: [basket], handleBatch: (_, { reaction }) => reaction() })
  void createApp({ store, aggregates: { basket }, queries: [(events) => events.length, async (events) => events] })
}
