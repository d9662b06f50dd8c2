import {
  createApp,
  defineAggregate,
  defineProcess,
  defineSqlView,
  defineSubscription,
  defineView,
  noData,
  platformRuntime,
  reject,
  semanticVersionUpcaster,
  typed,
  versions,
} from 'cqrs-es'
import { conformanceCases } from 'cqrs-es/conformance'
import { dynamoDbChanges, dynamoDbStore, tableDefinitions } from 'cqrs-es/dynamodb'
import { createHandler, openApiDocument } from 'cqrs-es/http'
import { onDynamoDbStream, onHttp, onSchedule, onSqs } from 'cqrs-es/lambda'
import { memoryStore } from 'cqrs-es/memory'
import { asyncApi, cloudEventFrom, defineInbox, definePublication, webhook } from 'cqrs-es/messaging'
import { mysqlStore } from 'cqrs-es/mysql'
import { postgresStore } from 'cqrs-es/postgres'
import { sqliteStore } from 'cqrs-es/sqlite'
import { eventId, FailedDependencies, serializeCommit } from 'cqrs-es/store'
import { given, givenLog, givenProcess, testClock } from 'cqrs-es/testing'

/** One of each thing that a program can hold. The test exports every member of each, and emits declarations of it. */

export const shapes = {
  Opened: typed<{ owner: string; lines: { tags: string[] }[] }>(),
  Closed: noData,
  Moved: versions('2.0', typed<{ to: string }>(), { '1.0': () => ({ to: 'x' }) }),
}
export const definition = defineAggregate({
  type: 'account',
  events: shapes,
  commands: { Open: typed<{ owner: string }>(), Close: noData },
  services: typed<{ clock(): Date }>(),
  initialState: () => ({ owner: '', tags: [] as string[] }),
  snapshots: { every: 2 },
  upcasters: [semanticVersionUpcaster('Moved', '1.5', (data) => data)],
})
export const account = definition.implement({
  handle: {
    Open: (state, { owner }) => (state.owner === '' ? { type: 'Opened', data: { owner, lines: [] } } : reject('open', { owner })),
    Close: () => undefined,
  },
  apply: {
    Opened: (state, { owner }) => ({ ...state, owner }),
    Closed: (state) => state,
    Moved: (state) => state,
  },
})
export const plain = defineAggregate({ type: 'plain', events: {}, commands: {}, initialState: () => ({}) }).implement({
  handle: {},
  apply: {},
})
export const balances = defineView({
  name: 'balances',
  aggregates: [account],
  initialView: () => ({ owner: '' }),
  update: { Opened: (view) => view },
  indexes: ['owner'],
})
export const reports = defineSqlView({ name: 'reports', aggregates: [account], update: () => {}, reset: () => {} })
export const mailer = defineSubscription({ name: 'mailer', aggregates: [account], handle: () => {} })

export const declaredProcess = defineProcess({
  name: 'closing',
  aggregates: [account],
  sends: [account, plain],
  calls: { charge: { input: typed<{ owner: string }>(), output: typed<{ receipt: string }>() } },
  timers: ['late'],
  initialState: () => ({ owner: '' }),
  from: 'beginning',
})
export const closing = declaredProcess.implement({
  starts: ['Opened'],
  on: { Opened: (_, { data: { owner } }) => ({ state: { owner }, send: [{ call: 'charge', data: { owner } }] }) },
  replies: { charge: (_, reply, { id }) => (reply.ok ? { send: [{ to: 'account', id, type: 'Close' }] } : { done: 'unpaid' }) },
  timers: { late: () => ({ done: 'late' }) },
})
export const publication = definePublication({
  name: 'accounts',
  aggregates: [account],
  source: '/accounts',
  from: 'beginning',
  events: {
    Opened: { type: 'com.example.opened.v1', data: typed<{ owner: string }>(), map: ({ data: { owner } }) => ({ owner }) },
  },
})
export const published = publication.to(webhook('https://example.com'))
export const inbox = defineInbox({
  name: 'openings',
  messages: { 'com.example.open.v1': typed<{ owner: string }>() },
  sends: [account],
}).implement({
  'com.example.open.v1': ({ data: { owner } }) => ({ to: 'account', id: owner, type: 'Open', data: { owner } }),
})

export const store = memoryStore()
export const app = createApp({
  store,
  aggregates: { account, plain },
  views: { balances, reports },
  subscriptions: { mailer },
  processes: { closing: closing.with({ charge: async ({ owner }) => ({ receipt: owner }) }) },
  publications: { published },
  inboxes: { inbox },
  services: { account: { clock: () => new Date() } },
})
export const stores = {
  dynamodb: dynamoDbStore(null as never),
  mysql: mysqlStore(null as never),
  postgres: postgresStore(null as never),
  sqlite: sqliteStore(null as never),
}
export const makers = {
  createApp,
  defineAggregate,
  defineInbox,
  defineProcess,
  definePublication,
  defineSubscription,
  defineView,
  dynamoDbStore,
  given,
  givenLog,
  mysqlStore,
  postgresStore,
  reject,
  semanticVersionUpcaster,
  sqliteStore,
  defineSqlView,
  versions,
}
export const http = { handler: createHandler(app, { authorize: 'none' }), document: openApiDocument(app, { authorize: 'none' }) }
export const lambda = {
  http: onHttp(http.handler),
  sqs: onSqs(app),
  stream: onDynamoDbStream(app),
  schedule: onSchedule(app),
}
export const helpers = { conformanceCases, dynamoDbChanges, eventId, platformRuntime, tableDefinitions, serializeCommit }
export const unstored = new FailedDependencies()
export const kit = given(account, [{ type: 'Closed' }])
export const decided = kit.when({ type: 'Open', data: { owner: 'ann' } })
export const process = givenProcess(closing, 'a')
export const clock = testClock('2030-01-01')
export const log = givenLog().of(account, 'a', [{ type: 'Closed' }])
export const delivered = log.deliveredTo(mailer)

// What functions come to.
export const executed = await app.aggregates.account.execute('a', { type: 'Open', data: { owner: 'ann' } })
export const loaded = await app.aggregates.account.load('a')
export const events = app.aggregates.account.events('a')
export const all = app.events()
export const row = await app.views.balances.load('a')
export const found = await app.views.balances.find({ owner: { gte: 'a' } }, { orderBy: 'owner' })
export const parked = await app.subscriptions.mailer.parked()
export const status = app.subscriptions.mailer.status()
export const instance = await app.processes.closing.load('a')
export const instances = await app.processes.closing.list()
export const received = await app.inboxes.inbox.receive(null as never)
export const document = asyncApi(app, { title: 'Accounts', version: '1' })
export const messages = cloudEventFrom
export const drained = await app.drain()
export const caughtUp = await app.catchUp([])
export const inspected = await decided.inspect()
export const sent = await delivered.inspect()
export const cases = conformanceCases(null as never)
export const tables = tableDefinitions()
export const changes = dynamoDbChanges([])
