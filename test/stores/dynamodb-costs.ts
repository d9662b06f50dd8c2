/** What each thing costs on DynamoDB: asked by the benchmark `costs`, and by the test that compares with docs/reference/cost-on-dynamodb.md. */
import { createApp, defineAggregate, defineView, platformRuntime, reject, type SnapshotPolicy, typed } from 'cqrs-es'
import { dynamoDbStore } from 'cqrs-es/dynamodb'
import type { Asked, Recorder } from './dynamodb-recorder.ts'
import { dynamoDb, dynamoDbStreams, newTables, removeTables } from './dynamodb-tables.ts'

/** One thing, and what it has asked for. */
export interface Cost extends Asked {
  readonly what: string
}

/** Dollars for a million units on demand in us-east-1, as docs/reference/cost-on-dynamodb.md names them. */
export const prices = { read: 0.125, write: 0.625, stream: 0.2 }

export const dollarsPerMillion = ({ read, write, stream }: Asked): number =>
  read * prices.read + write * prices.write + stream * prices.stream

/** `2 × Query, PutItem`. */
export function named(requests: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const name of requests) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].map(([name, times]) => (times === 1 ? name : `${times} × ${name}`)).join(', ') || 'none'
}

/** As it stands in docs/reference/cost-on-dynamodb.md. */
export const lineOf = (cost: Cost): string =>
  `| ${cost.what} | ${named(cost.requests)} | ${short(cost.read)} | ${short(cost.write)} | ${short(dollarsPerMillion(cost))} |`

const short = (value: number): string => value.toLocaleString('en-US', { maximumSignificantDigits: 3 })

/** The events are those of the peer in Rust; some 420 bytes in the table, as most are. */
const account = (snapshots: SnapshotPolicy = 'never') =>
  defineAggregate({
    type: 'account',
    events: { MoneyDeposited: typed<{ amount: number; note: string }>() },
    commands: { DepositMoney: typed<{ times: number }>(), CloseAccount: typed<Record<never, never>>() },
    initialState: () => ({ balance: 0 }),
    snapshots,
    stateVersion: '1',
  }).implement({
    handle: {
      DepositMoney: (_, { times }) =>
        Array.from({ length: times }, () => ({
          type: 'MoneyDeposited' as const,
          data: { amount: 1, note: 'x'.repeat(100) },
        })),
      CloseAccount: () => reject('not-empty'),
    },
    apply: { MoneyDeposited: ({ balance }, { amount }) => ({ balance: balance + amount }) },
  })

const balances = (
  aggregate: ReturnType<typeof account>,
  name: string,
  consistency: 'inline' | 'async',
  indexes: 'branch'[] | 'balance'[],
) =>
  defineView({
    name,
    aggregates: [aggregate],
    initialView: () => ({ branch: 'main', balance: 0 }),
    update: { MoneyDeposited: (view, { data }) => ({ ...view, balance: view.balance + data.amount }) },
    consistency,
    indexes,
  })

const deposit = (times = 1) => ({ type: 'DepositMoney', data: { times } }) as const
const close = { type: 'CloseAccount', data: {} } as const

/** Tables of their own, and programs that work on them. */
class Scene {
  readonly tables = newTables()
  readonly #recorder: Recorder

  constructor(recorder: Recorder) {
    this.#recorder = recorder
  }

  /** A program that has never met anything: what a new sandbox of a function is. Without `time` a slow machine is as fast as any. */
  program(
    options: {
      snapshots?: SnapshotPolicy
      views?: Parameters<typeof balances>[2][]
      indexes?: 'branch'[] | 'balance'[]
      time?: false
    } = {},
  ) {
    const aggregate = account(options.snapshots)
    const views = Object.fromEntries(
      (options.views ?? []).map((consistency, i) => [
        `view${i}`,
        balances(aggregate, `view${i}`, consistency, options.indexes ?? []),
      ]),
    )
    const { url } = this.#recorder
    const store = dynamoDbStore(dynamoDb(url), { tables: this.tables, streams: true, streamsClient: dynamoDbStreams(url) })
    const start = new Date()
    const runtime = options.time === false ? { ...platformRuntime, now: () => start } : platformRuntime
    return { store, app: createApp({ store, aggregates: { account: aggregate }, views, runtime }) }
  }

  async asked(work: () => Promise<unknown>): Promise<Asked> {
    this.#recorder.take()
    await work()
    return this.#recorder.take()
  }
}

type Options = Parameters<Scene['program']>[0]
type Account = ReturnType<Scene['program']>['app']['aggregates']['account']

/** A command on an account of ten events: by a program that has never met it, then again. */
const command =
  (what: string, options: Options, run: (account: Account, id: string, turn: number) => Promise<unknown>) =>
  async (scene: Scene): Promise<Cost[]> => {
    const id = `account-${crypto.randomUUID()}`
    const before = scene.program(options).app.aggregates.account
    await before.execute(id, deposit(10))
    const { account } = scene.program(options).app.aggregates
    const cold = await scene.asked(() => run(account, id, 0))
    const warm = await scene.asked(() => run(account, id, 1))
    return [
      { what: `${what}, cold`, ...cold },
      { what: `${what}, warm`, ...warm },
    ]
  }

/** The same key again, in a program that has answered it and in one that has not. */
const repeat = async (scene: Scene): Promise<Cost[]> => {
  const id = `account-${crypto.randomUUID()}`
  const pay = (account: Account) => () => account.execute(id, deposit(), { idempotencyKey: 'payment' })
  const { account } = scene.program().app.aggregates
  await account.execute(id, deposit(10))
  await pay(account)()
  return [
    { what: 'the same key again, cold', ...(await scene.asked(pay(scene.program().app.aggregates.account))) },
    { what: 'the same key again, warm', ...(await scene.asked(pay(account))) },
  ]
}

const load =
  (what: string, events: number, snapshots: SnapshotPolicy = 'never') =>
  async (scene: Scene): Promise<Cost[]> => {
    const id = `account-${crypto.randomUUID()}`
    const { account } = scene.program({ snapshots }).app.aggregates
    for (let left = events; left > 0; left -= 50) await account.execute(id, deposit(Math.min(left, 50)))
    return [{ what, ...(await scene.asked(() => scene.program({ snapshots }).app.aggregates.account.load(id))) }]
  }

/** Many accounts with one event each. */
async function open(scene: Scene, accounts: number, options: Options, events = 1): Promise<readonly string[]> {
  const ids = Array.from({ length: accounts }, (_, i) => `account-${i}`)
  const { account } = scene.program(options).app.aggregates
  await Promise.all(ids.map((id) => account.execute(id, deposit(events))))
  return ids
}

const changes = (ids: readonly string[], sequence = 1) =>
  ids.map((aggregateId) => ({ aggregateType: 'account', aggregateId, sequence }))

async function checked(outcomes: Promise<readonly ({ readonly error: unknown } | undefined)[]>): Promise<void> {
  const failed = (await outcomes).find((outcome) => outcome !== undefined)
  if (failed !== undefined) throw failed.error
}

const readView = async (scene: Scene): Promise<Cost[]> => {
  const options: Options = { views: ['inline'], indexes: ['branch'] }
  await open(scene, 100, options)
  const view = scene.program(options).app.views.view0 as unknown as {
    load(id: string): Promise<unknown>
    find(where: object, options: object): Promise<unknown>
  }
  return [
    { what: 'load of a row of a view', ...(await scene.asked(() => view.load('account-7'))) },
    { what: 'find of 20 rows by an index', ...(await scene.asked(() => view.find({ branch: 'main' }, { limit: 20 }))) },
  ]
}

const follow = async (scene: Scene): Promise<Cost[]> => {
  const one: Options = { views: ['async'] }
  const two: Options = { views: ['async', 'async'] }
  const [a = '', b = '', ...others] = await open(scene, 102, {})
  const catchUp = (options: Options, of: readonly ReturnType<typeof changes>[number][]) =>
    scene.asked(() => checked(scene.program({ ...options, time: false }).app.catchUp(of)))
  const costs = [
    { what: 'one change, one view', ...(await catchUp(one, changes([a]))) },
    { what: 'the same change again', ...(await catchUp(one, changes([a]))) },
    { what: 'one change, two views', ...(await catchUp(two, changes([b]))) },
    { what: '100 changes of 100 aggregates, one view', ...(await catchUp(one, changes(others))) },
  ]
  const { account } = scene.program().app.aggregates
  await account.execute(a, deposit(99))
  const ofOne = Array.from({ length: 99 }, (_, i) => ({ aggregateType: 'account', aggregateId: a, sequence: i + 2 }))
  return [...costs, { what: '99 changes of one aggregate, one view', ...(await catchUp(one, ofOne)) }]
}

/** A drain by the clock, with which nothing has been lost. */
const idle = async (scene: Scene): Promise<Cost[]> => {
  const views: Options = { views: ['async'] }
  await open(scene, 1, {})
  await scene.program(views).app.drain()
  const { app } = scene.program(views)
  return [
    { what: 'drain with nothing to do, cold', ...(await scene.asked(() => app.drain())) },
    { what: 'drain with nothing to do, warm', ...(await scene.asked(() => app.drain())) },
  ]
}

const drain = async (scene: Scene): Promise<Cost[]> => {
  const views: Options = { views: ['async'] }
  await open(scene, 1_000, {})
  const first = await scene.asked(() => scene.program(views).app.drain())
  const again = await scene.asked(() => scene.program(views).app.drain({ reconcile: true }))
  return [
    { what: 'the first drain of a new view, 1,000 aggregates', ...first },
    { what: 'reconcile, 1,000 aggregates, nothing missed', ...again },
  ]
}

const rebuild = async (scene: Scene): Promise<Cost[]> => {
  await open(scene, 100, {}, 10)
  const { view0 } = scene.program({ views: ['async'] }).app.views
  const asked = await scene.asked(() => (view0 as unknown as { rebuild(): Promise<unknown> }).rebuild())
  return [{ what: 'rebuild, 1,000 events of 100 aggregates', ...asked }]
}

const groups = {
  commands: [
    command('one event', {}, (account, id) => account.execute(id, deposit())),
    command('ten events', {}, (account, id) => account.execute(id, deposit(10))),
    command('one event and a snapshot', { snapshots: 'always' }, (account, id) => account.execute(id, deposit())),
    command('one event and a key', {}, (account, id, turn) => account.execute(id, deposit(), { idempotencyKey: `key-${turn}` })),
    repeat,
    command('one event and an inline view', { views: ['inline'] }, (account, id) => account.execute(id, deposit())),
    command('the same, and an index value changes', { views: ['inline'], indexes: ['balance'] }, (account, id) =>
      account.execute(id, deposit()),
    ),
    command('a rejection', {}, (account, id) => account.execute(id, close)),
  ],
  reads: [
    load('load of 10 events', 10),
    load('load of 1,000 events', 1_000),
    load('load of 1,000 events, a snapshot at each command', 1_000, 'always'),
    readView,
  ],
  following: [follow, idle],
  rarely: [drain, rebuild],
}

export type Group = keyof typeof groups
export const groupNames = Object.keys(groups) as Group[]

/** Measures a group, each question on tables of its own. */
export async function measureCosts(recorder: Recorder, group: Group): Promise<Cost[]> {
  const costs: Cost[] = []
  for (const question of groups[group]) {
    const scene = new Scene(recorder)
    const { store } = scene.program()
    await store.createSchema()
    costs.push(...(await question(scene)))
    await removeTables(dynamoDb(recorder.url), scene.tables)
  }
  return costs
}
