// Contracts, mappings and clients of cqrs-es/messaging.
import type { EventBridge } from '@aws-sdk/client-eventbridge'
import type { SNS } from '@aws-sdk/client-sns'
import type { SQS } from '@aws-sdk/client-sqs'
import type { ConfirmChannel, ConsumeMessage } from 'amqplib'
import { createApp, defineAggregate, noData, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import {
  cloudEventFrom,
  defineInbox,
  definePublication,
  eventBridge,
  kafka,
  nats,
  rabbit,
  sns,
  sqs,
  type Target,
} from 'cqrs-es/messaging'
import type { KafkaMessage, Producer } from 'kafkajs'
import type { JetStreamClient, JsMsg } from 'nats'
import { z } from 'zod'

// The clients fit without being imported by the package.
declare const clients: {
  rabbit: ConfirmChannel
  kafka: Producer
  nats: JetStreamClient
  eventBridge: EventBridge
  sns: SNS
  sqs: SQS
}
export const targets: Target[] = [
  rabbit(clients.rabbit, { exchange: 'x' }),
  rabbit(async () => clients.rabbit, { exchange: 'x' }),
  kafka(clients.kafka, { topic: 't' }),
  nats(clients.nats, { subject: 's' }),
  eventBridge(clients.eventBridge, { bus: 'b' }),
  sns(clients.sns, { topicArn: 'a' }),
  sqs(clients.sqs, { queueUrl: 'q' }),
]
declare const messages: { kafka: KafkaMessage; nats: JsMsg; rabbit: ConsumeMessage }
export const read = [
  cloudEventFrom.kafka(messages.kafka),
  cloudEventFrom.nats(messages.nats),
  cloudEventFrom.rabbit(messages.rabbit),
]

const order = defineAggregate({
  type: 'order',
  events: { Placed: typed<{ total: number }>(), Cancelled: noData },
  commands: { Place: typed<{ total: number }>(), Cancel: noData },
  initialState: () => ({}),
}).implement({
  handle: { Place: (_, data) => ({ type: 'Placed', data }), Cancel: () => ({ type: 'Cancelled' }) },
  apply: { Placed: (state) => state, Cancelled: (state) => state },
})
const contract = { name: 'orders', aggregates: [order], source: '/orders', from: 'now' } as const

const orders = definePublication({
  ...contract,
  events: {
    Placed: {
      type: 'placed.v1',
      data: z.object({ total: z.number() }),
      map: (event) => (event.data.total > 0 ? { total: event.data.total } : undefined),
      subject: (event) => event.aggregateId,
    },
    Cancelled: { type: 'cancelled.v1', data: z.object({ id: z.string() }), map: ({ aggregateId }) => ({ id: aggregateId }) },
  },
})
// @ts-expect-error the start must be chosen
definePublication({ name: 'x', aggregates: [order], source: '/x', events: {} })
definePublication({
  ...contract,
  // @ts-expect-error the public form has no such data
  events: { Placed: { type: 'placed.v1', data: z.object({ total: z.string() }), map: () => ({ total: 5 }) } },
})
definePublication({
  ...contract,
  // @ts-expect-error the aggregate has no such event
  events: { Paid: { type: 'paid.v1', data: noData, map: () => undefined } },
})

const declared = defineInbox({
  name: 'shop',
  messages: { 'order.v1': z.object({ id: z.string(), total: z.number() }) },
  sends: [order],
})
const shop = declared.implement({
  'order.v1': ({ data, type }) => {
    const of: 'order.v1' = type
    return data.total > 0 && of ? { to: 'order', id: data.id, type: 'Place', data: { total: data.total } } : undefined
  },
})
// @ts-expect-error a mapping is missing
declared.implement({})
// @ts-expect-error it does not send to that aggregate
declared.implement({ 'order.v1': () => ({ to: 'stock', id: 'x', type: 'Place', data: { total: 1 } }) })
// @ts-expect-error the command has other data
declared.implement({ 'order.v1': () => ({ to: 'order', id: 'x', type: 'Place', data: { total: 'one' } }) })

const app = createApp({
  store: memoryStore(),
  aggregates: { order },
  publications: { orders: orders.to(targets[0] as Target) },
  inboxes: { shop },
})
export const outcome: 'stored' | 'repeated' | 'nothing' | 'refused' | 'ignored' = (
  await app.inboxes.shop.receive(read[0] as never)
).outcome
export const sent: number = (await app.publications.orders.replay({ aggregate: order, id: 'o-1' })).messages
// @ts-expect-error there is no such publication
app.publications.other
// @ts-expect-error a publication needs a target
createApp({ store: memoryStore(), aggregates: { order }, publications: { orders } })
