import { createApp, defineAggregate, noData, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { defineInbox, definePublication, eventBridge, kafka, nats, rabbit, sns, sqs, webhook } from 'cqrs-es/messaging'
import { describe, expect, test } from 'vitest'
import { thrownBy } from '../support/async.ts'
import { counter } from '../support/counter.ts'
import { counts, sink } from '../support/messages.ts'

const Counted = { type: 't', data: typed<{ by: number }>(), map: () => ({ by: 1 }) }
const valid = { name: 'p', aggregates: [counter], source: '/s', from: 'now', events: { Counted } }

describe('definePublication', () => {
  test.each([
    [{ nam: 1 }, "definePublication has no option 'nam'"],
    [{ name: '' }, 'The name of a publication must not be empty'],
    [{ aggregates: counter }, "Publication 'p': aggregates must be a list"],
    [{ aggregates: [] }, "Publication 'p' needs at least one aggregate"],
    [{ aggregates: [counter, counter] }, "Publication 'p' names an aggregate twice"],
    [{ aggregates: [{}] }, "Publication 'p': aggregates[0]"],
    [{ source: 'a b' }, 'source must be a URI reference such as \'/shop/orders\', not "a b"'],
    [{ from: undefined }, "Publication 'p' needs the option from: 'beginning' publishes all past events"],
    [{ from: 'end' }, "from must be 'beginning', 'now' or the position"],
    [{ events: {} }, 'events must name at least one event'],
    [
      { events: { Counting: Counted } },
      "events has 'Counting', but none of its aggregates has such an event. Their events: Counted.",
    ],
    [{ events: { Counted: { ...Counted, schema: 1 } } }, "events.Counted has no option 'schema'"],
    [{ events: { Counted: { ...Counted, type: '' } } }, 'events.Counted: type must not be empty'],
    [{ events: { Counted: { ...Counted, data: {} } } }, 'events.Counted: data must be a schema'],
    [{ events: { Counted: { ...Counted, map: 5 } } }, 'events.Counted: map must be a function'],
    [{ events: { Counted: { ...Counted, subject: 5 } } }, 'events.Counted: subject must be a function'],
    [{ onFailure: 'wait' }, 'onFailure must be'],
    [{ timeoutMs: 0 }, 'timeoutMs must be a whole number'],
    [{ partitions: 65 }, 'partitions is 65; the limit is 64'],
  ])('definePublication refuses %j', (options, message) => {
    const error = thrownBy(() => definePublication({ ...valid, ...options } as never))
    expect(error).toMatchObject({ code: 'DEFINITION' })
    expect((error as Error).message).toContain(message)
  })

  test.each([
    [undefined, 'must be a target, such as kafka('],
    [{ ...sink().target, name: '' }, 'name must not be empty'],
    [{ ...sink().target, keeps: 'all' }, "keeps must be 'order', 'one-per-key' or 'nothing'"],
    [{ ...sink().target, most: {} }, 'most.messages must be a whole number'],
    [{ ...sink().target, calls: 0 }, 'calls must be a whole number'],
    [{ ...sink().target, send: 1 }, 'send must be a function'],
  ])('definePublication(…).to refuses the target %j', (target, message) => {
    const error = thrownBy(() => definePublication(valid as never).to(target as never))
    expect(error).toMatchObject({ code: 'DEFINITION' })
    expect((error as Error).message).toContain(message)
  })
})

describe('createApp with messaging', () => {
  const create = (options: object) => thrownBy(() => createApp({ store: memoryStore(), aggregates: { counter }, ...options }))

  test('createApp refuses one publication to one target twice', () => {
    const { target } = sink()
    expect(create({ publications: { a: counts().to(target), b: counts().to(target) } })).toMatchObject({
      code: 'DEFINITION',
      message:
        "createApp: the publication 'counts to sink' is registered twice, as publications.a and publications.b. Remove one, or give one a name of its own.",
    })
  })

  test('createApp accepts one publication to two targets', async () => {
    const other = { ...sink().target, name: 'other' }
    const publications = { a: counts().to(sink().target), b: counts().to(other) }
    await createApp({ store: memoryStore(), aggregates: { counter }, publications }).close()
  })

  test('createApp refuses two publications with one storedAs', () => {
    const other = { ...sink().target, name: 'other' }
    const publications = { a: counts().to(sink().target), b: counts().to(other, { storedAs: 'counts/sink' }) }
    expect((create({ publications }) as Error).message).toContain("the publication stored as 'counts/sink' is registered twice")
  })

  test.each([
    [{ publications: { a: counts() } }, 'publications.a has no target. Name one: a: publication.to('],
    [{ publications: { a: {} } }, 'publications.a must be a publication made by definePublication(…).to(target)'],
    [{ publications: [] }, 'publications must be an object by name: { orders: … }'],
    [{ inboxes: { a: {} } }, 'inboxes.a must be an inbox made by defineInbox(…).implement({ … })'],
    [
      { inboxes: { a: defineInbox({ name: 'i', messages: { m: noData }, sends: [counter] }) } },
      'inboxes.a has no behavior. Call implement({ … })',
    ],
  ])('createApp refuses %j', (options, message) => {
    const error = create(options)
    expect(error).toMatchObject({ code: 'DEFINITION' })
    expect((error as Error).message).toContain(message)
  })

  test('createApp refuses a publication or an inbox of an aggregate that it lacks', () => {
    const light = defineAggregate({
      type: 'light',
      events: { On: noData },
      commands: { Switch: noData },
      initialState: () => ({}),
    }).implement({
      handle: { Switch: () => ({ type: 'On' }) },
      apply: { On: (state) => state },
    })
    const lights = definePublication({
      name: 'l',
      aggregates: [light],
      source: '/l',
      from: 'now',
      events: { On: { type: 'on', data: noData, map: () => undefined } },
    })
    expect((create({ publications: { lights: lights.to(sink().target) } }) as Error).message).toBe(
      "createApp: the publication 'l to sink' follows the aggregate 'light', which is not among aggregates: it would miss events.",
    )
    const inbox = defineInbox({ name: 'i', messages: { m: noData }, sends: [light] }).implement({ m: () => undefined })
    expect((create({ inboxes: { inbox } }) as Error).message).toBe(
      "createApp: the inbox 'i' sends to the aggregate 'light', which is not among aggregates. Add it.",
    )
  })
})

describe('defineInbox', () => {
  const inbox = { name: 'i', messages: { m: noData }, sends: [counter] }

  test.each([
    [{ name: 5 }, 'The name of an inbox must be a text'],
    [{ messages: {} }, "Inbox 'i': messages must name at least one message"],
    [{ messages: { m: {} } }, "Inbox 'i': messages['m'] must be a schema"],
    [{ sends: [] }, "Inbox 'i': sends must name at least one aggregate"],
    [{ sources: '/s' }, "Inbox 'i': sources must be a list of texts"],
    [{ source: '/s' }, "defineInbox has no option 'source'"],
  ])('defineInbox refuses %j', (options, message) => {
    const error = thrownBy(() => defineInbox({ ...inbox, ...options } as never))
    expect(error).toMatchObject({ code: 'DEFINITION' })
    expect((error as Error).message).toContain(message)
  })

  test('implement refuses a missing and an extra mapping', () => {
    expect((thrownBy(() => defineInbox(inbox).implement({} as never)) as Error).message).toContain(
      "implement: 'm' must be a function",
    )
    const extra = { m: () => undefined, n: () => undefined }
    expect((thrownBy(() => defineInbox(inbox).implement(extra)) as Error).message).toContain("implement has no option 'n'")
  })
})

describe('a target', () => {
  const none = {} as never
  test.each([
    ['kafka', () => kafka(none, { topic: 't' }), 'kafka: the first argument must be a client with the method sendBatch()'],
    ['nats', () => nats(none, { subject: 's' }), 'nats: the first argument must be a client with the method publish()'],
    [
      'rabbit',
      () => rabbit({ publish: () => true } as never, { exchange: 'e' }),
      'rabbit: the channel must be made by createConfirmChannel()',
    ],
    ['sqs', () => sqs(none, { queueUrl: 'q' }), 'sqs: the first argument must be a client with the method sendMessageBatch()'],
    ['sns', () => sns(none, { topicArn: 'a' }), 'sns: the first argument must be a client with the method publishBatch()'],
    [
      'eventBridge',
      () => eventBridge(none, { bus: 'b' }),
      'eventBridge: the first argument must be a client with the method putEvents()',
    ],
    ['webhook', () => webhook('ftp://x'), 'webhook: the first argument must be an http or https URL'],
    ['webhook', () => webhook('http://x', { secret: '%' }), 'webhook: secret must be base64'],
    ['webhook', () => webhook('http://x', { calls: 0 }), 'webhook: calls must be a whole number'],
    [
      'sqs',
      () => sqs({ sendMessageBatch: async () => ({}) }, { queueUrl: 'q', mostBytes: 0 }),
      'sqs: mostBytes must be a whole number',
    ],
    ['sqs', () => sqs({ sendMessageBatch: async () => ({}) }, {} as never), 'sqs: queueUrl must be a text'],
    ['kafka', () => kafka({ sendBatch: async () => {} }, { topic: 5 } as never), 'kafka: topic must be a function'],
  ])('%s refuses wrong arguments', (_, make, message) => {
    const error = thrownBy(make)
    expect(error).toMatchObject({ code: 'DEFINITION' })
    expect((error as Error).message).toContain(message)
  })
})
