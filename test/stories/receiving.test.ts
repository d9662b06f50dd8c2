import { createApp, defineAggregate, reject, type Store, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { type CloudEvent, cloudEventFrom, defineInbox } from 'cqrs-es/messaging'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { failureOf } from '../support/async.ts'
import { counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { changed } from '../support/stores.ts'

const kept = keeping()

const typeOf = 'com.test.measured.v1'
const measured = z.object({ meter: z.string(), by: z.number() })

type Mapping = Parameters<ReturnType<typeof declared>['implement']>[0][typeof typeOf]

const declared = (sources?: readonly string[]) =>
  defineInbox({ name: 'meters', messages: { [typeOf]: measured }, sends: [counter], ...(sources && { sources }) })

const mapping: Mapping = ({ data: { meter, by } }) => ({ to: 'counter', id: meter, type: 'Count', data: { by } })

const receiving = ({
  store = memoryStore(),
  map = mapping,
  sources,
}: {
  store?: Store
  map?: Mapping
  sources?: readonly string[]
} = {}) =>
  kept(createApp({ store, aggregates: { counter }, inboxes: { meters: declared(sources).implement({ [typeOf]: map }) } }))

const message = (data: unknown = { meter: 'a', by: 1 }, attributes: object = {}): CloudEvent => ({
  specversion: '1.0',
  id: 'm-1',
  source: '/meters',
  type: typeOf,
  data,
  ...attributes,
})
const total = async (app: ReturnType<typeof receiving>, id = 'a') => (await app.aggregates.counter.load(id)).state.total

describe('an inbox', () => {
  test('an inbox stores the command of a message once, however often it arrives', async () => {
    const app = receiving()
    expect(await app.inboxes.meters.receive(message())).toEqual({ outcome: 'stored' })
    expect(await app.inboxes.meters.receive(message())).toEqual({ outcome: 'repeated' })
    expect(await total(app)).toBe(1)
  })

  test('one message that arrives 8 times at once is stored once', async () => {
    const app = receiving()
    const all = await Promise.all(Array.from({ length: 8 }, () => app.inboxes.meters.receive(message())))
    expect(all.map(({ outcome }) => outcome).sort()).toEqual([...Array(7).fill('repeated'), 'stored'])
    expect(await total(app)).toBe(1)
  })

  test('messages with one id and different sources are both stored', async () => {
    const app = receiving()
    for (const source of ['/one', '/two'])
      expect(await app.inboxes.meters.receive(message(undefined, { source }))).toEqual({ outcome: 'stored' })
    expect(await total(app)).toBe(2)
  })

  test('a redelivered message is repeated when its mapping has changed since', async () => {
    const store = memoryStore()
    await receiving({ store }).inboxes.meters.receive(message())
    const app = receiving({ store, map: ({ data }) => ({ to: 'counter', id: data.meter, type: 'Count', data: { by: 100 } }) })
    expect(await app.inboxes.meters.receive(message())).toEqual({ outcome: 'repeated' })
    expect(await total(app)).toBe(1)
  })

  test('a refused message is decided again when it is redelivered', async () => {
    const app = receiving()
    const less = message({ meter: 'a', by: -1 })
    expect(await app.inboxes.meters.receive(less)).toEqual({ outcome: 'refused', reason: 'too-little' })
    await app.aggregates.counter.execute('a', { type: 'Count', data: { by: 3 } })
    expect(await app.inboxes.meters.receive(less)).toEqual({ outcome: 'stored' })
    expect(await total(app)).toBe(2)
  })

  test('a message is ignored without a named type and source, or without a command', async () => {
    const app = receiving({ sources: ['/meters'], map: (one) => (one.data.by > 5 ? undefined : mapping(one)) })
    for (const one of [
      message(undefined, { type: 'com.test.other.v1' }),
      message(undefined, { source: '/elsewhere' }),
      message({ meter: 'a', by: 6 }),
    ])
      expect(await app.inboxes.meters.receive(one)).toEqual({ outcome: 'ignored' })
    expect(await total(app)).toBe(0)
  })

  test('a command without events results in nothing', async () => {
    const app = receiving({ map: ({ data }) => ({ to: 'counter', id: data.meter, type: 'CountEach', data: { by: [] } }) })
    expect(await app.inboxes.meters.receive(message())).toEqual({ outcome: 'nothing' })
  })

  test('the event names the message as its cause', async () => {
    const app = receiving()
    await app.inboxes.meters.receive(message(undefined, { correlationid: 'c-1', traceparent: '00-1-2-01' }))
    await app.inboxes.meters.receive(message(undefined, { id: 'm-2' }))
    const metadata = []
    for await (const event of app.aggregates.counter.events('a')) metadata.push(event.metadata)
    expect(metadata).toEqual([
      { causationId: 'm-1', correlationId: 'c-1', source: '/meters', traceparent: '00-1-2-01' },
      { causationId: 'm-2', correlationId: 'm-2', source: '/meters' },
    ])
  })

  test('receive rejects with ValidationError for data that its schema refuses', async () => {
    const error = await failureOf(receiving().inboxes.meters.receive(message({ meter: 'a', by: 'x' })))
    expect(error).toMatchObject({ code: 'VALIDATION', issues: [{ path: ['by'] }] })
    expect((error as Error).message).toContain(
      "Inbox 'meters': the message 'm-1' of /meters does not fit com.test.measured.v1: by:",
    )
  })

  test('receive rejects with StoreError when the store is away', async () => {
    const store = changed(memoryStore(), { append: () => Promise.reject(new Error('away')) })
    expect(await failureOf(receiving({ store }).inboxes.meters.receive(message()))).not.toMatchObject({ code: 'VALIDATION' })
  })

  test.each([
    [undefined, 'it must be an object'],
    [[], 'it must be an object'],
    [{ ...message(), specversion: '0.3' }, 'specversion is "0.3"'],
    [{ ...message(), id: '' }, 'id must be a text'],
    [{ ...message(), source: 5 }, 'source must be a text'],
    [{ ...message(), type: undefined }, 'type must be a text'],
  ])('receive refuses %j', async (value, text) => {
    const error = await failureOf(receiving().inboxes.meters.receive(value as never))
    expect(error).toMatchObject({ code: 'VALIDATION' })
    expect((error as Error).message).toContain(text)
  })

  test.each([
    [{ to: 'lamp', id: 'a', type: 'Dim' }, "to is 'lamp', but sends has counter"],
    ['text', 'must return a command'],
    [{ to: 'counter', id: 'a', type: 'Count', extra: 1 }, 'must return a command'],
  ])('receive refuses the mapping result %j', async (command, text) => {
    const error = await failureOf(receiving({ map: (() => command) as never }).inboxes.meters.receive(message()))
    expect((error as Error).message).toContain(text)
  })

  test('an error of a mapping passes through', async () => {
    const map = () => {
      throw new Error('broken')
    }
    expect(await failureOf(receiving({ map }).inboxes.meters.receive(message()))).toMatchObject({ message: 'broken' })
  })

  test('receive is refused after close', async () => {
    const app = receiving()
    await app.close()
    expect(await failureOf(app.inboxes.meters.receive(message()))).toMatchObject({ code: 'CLOSED' })
  })

  test('a message that a publication sent is stored by the inbox of another app', async () => {
    const payment = defineAggregate({
      type: 'payment',
      events: { Recorded: typed<{ amount: number }>() },
      commands: { Record: typed<{ amount: number }>() },
      initialState: () => ({ amount: 0 }),
    }).implement({
      handle: { Record: (state, data) => (state.amount > 0 ? reject('recorded') : { type: 'Recorded', data }) },
      apply: { Recorded: (_, data) => data },
    })
    const inbox = defineInbox({
      name: 'payments',
      messages: { [typeOf]: typed<{ meter: string; by: number }>() },
      sends: [payment],
    }).implement({ [typeOf]: ({ data }) => ({ to: 'payment', id: data.meter, type: 'Record', data: { amount: data.by } }) })
    const app = kept(createApp({ store: memoryStore(), aggregates: { payment }, inboxes: { inbox } }))
    const body = JSON.stringify(message({ meter: 'p', by: 7 }))
    expect(await app.inboxes.inbox.receive(cloudEventFrom.sqs({ body }))).toEqual({ outcome: 'stored' })
    expect((await app.aggregates.payment.load('p')).state).toEqual({ amount: 7 })
  })
})
