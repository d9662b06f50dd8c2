import { EventBridge } from '@aws-sdk/client-eventbridge'
import { SNS } from '@aws-sdk/client-sns'
import { SQS } from '@aws-sdk/client-sqs'
import { connect as connectToRabbit } from 'amqplib'
import { type CloudEvent, cloudEventFrom, eventBridge, kafka, nats, rabbit, sns, sqs, type Target } from 'cqrs-es/messaging'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { AckPolicy, connect as connectToNats, RetentionPolicy } from 'nats'
import { serverUrl } from '../servers/ask.ts'
import type { BrokerName } from '../servers/brokers.ts'

/** A destination on a real broker. */
export interface Lab {
  readonly target: Target
  /** Receives messages until there are as many. */
  receive(count: number): Promise<readonly CloudEvent[]>
  close(): Promise<void>
}

type Make = (name: string) => Promise<Lab>

const aws = async (broker: BrokerName) => ({
  endpoint: await serverUrl(broker),
  region: 'us-east-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
})

async function queueOn(client: SQS, name: string) {
  const Attributes = name.endsWith('.fifo') ? { FifoQueue: 'true' } : {}
  const { QueueUrl = '' } = await client.createQueue({ QueueName: name, Attributes })
  const receive = async (count: number) => {
    const found: CloudEvent[] = []
    while (found.length < count) {
      const { Messages = [] } = await client.receiveMessage({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 })
      for (const { Body, ReceiptHandle } of Messages) {
        found.push(cloudEventFrom.sqs({ Body }))
        await client.deleteMessage({ QueueUrl, ReceiptHandle })
      }
    }
    return found
  }
  return { url: QueueUrl, receive }
}

const sqsLab =
  (broker: BrokerName, suffix: string): Make =>
  async (name) => {
    const client = new SQS(await aws(broker))
    const { url, receive } = await queueOn(client, `${name}${suffix}`)
    return { target: sqs(client, { queueUrl: url }), receive, close: async () => client.destroy() }
  }

const snsLab: Make = async (name) => {
  const options = await aws('moto')
  const [queues, client] = [new SQS(options), new SNS(options)]
  const { url, receive } = await queueOn(queues, `${name}.fifo`)
  const Attributes = { FifoTopic: 'true' }
  const { TopicArn = '' } = await client.createTopic({ Name: `${name}.fifo`, Attributes })
  const { Attributes: of } = await queues.getQueueAttributes({ QueueUrl: url, AttributeNames: ['QueueArn'] })
  await client.subscribe({ TopicArn, Protocol: 'sqs', Endpoint: of?.QueueArn })
  const close = async () => {
    queues.destroy()
    client.destroy()
  }
  return { target: sns(client, { topicArn: TopicArn }), receive, close }
}

const eventBridgeLab: Make = async (name) => {
  const options = await aws('moto')
  const [queues, client] = [new SQS(options), new EventBridge(options)]
  const { url, receive } = await queueOn(queues, name)
  const { Attributes: of } = await queues.getQueueAttributes({ QueueUrl: url, AttributeNames: ['QueueArn'] })
  await client.createEventBus({ Name: name })
  await client.putRule({ Name: name, EventBusName: name, EventPattern: JSON.stringify({ source: ['/tests'] }) })
  await client.putTargets({ Rule: name, EventBusName: name, Targets: [{ Id: 'queue', Arn: of?.QueueArn as string }] })
  const close = async () => {
    queues.destroy()
    client.destroy()
  }
  return { target: eventBridge(client, { bus: name }), receive, close }
}

const natsLab: Make = async (name) => {
  const connection = await connectToNats({ servers: await serverUrl('nats') })
  const manager = await connection.jetstreamManager()
  await manager.streams.add({ name, subjects: [`${name}.*`], retention: RetentionPolicy.Limits })
  await manager.consumers.add(name, { durable_name: name, ack_policy: AckPolicy.Explicit })
  const stream = connection.jetstream()
  const receive = async (count: number) => {
    const consumer = await stream.consumers.get(name, name)
    const found: CloudEvent[] = []
    while (found.length < count)
      for await (const message of await consumer.fetch({ max_messages: count - found.length, expires: 1_000 })) {
        found.push(cloudEventFrom.nats(message))
        message.ack()
      }
    return found
  }
  return { target: nats(stream, { subject: `${name}.events` }), receive, close: () => connection.close() }
}

const rabbitLab: Make = async (name) => {
  const connection = await connectToRabbit(await serverUrl('rabbitmq'))
  const channel = await connection.createConfirmChannel()
  await channel.assertExchange(name, 'fanout')
  await channel.assertQueue(name)
  await channel.bindQueue(name, name, '')
  const receive = async (count: number) => {
    const found: CloudEvent[] = []
    while (found.length < count) {
      const message = await channel.get(name, { noAck: true })
      if (message !== false) found.push(cloudEventFrom.rabbit(message))
    }
    return found
  }
  return { target: rabbit(channel, { exchange: name }), receive, close: () => connection.close() }
}

const kafkaLab: Make = async (name) => {
  const client = new Kafka({ brokers: [await serverUrl('kafka')], logLevel: logLevel.NOTHING })
  const admin = client.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: name, numPartitions: 3 }], waitForLeaders: true })
  await admin.disconnect()
  const producer: Producer = client.producer({ idempotent: true })
  await producer.connect()
  const consumer = client.consumer({ groupId: name })
  await consumer.connect()
  await consumer.subscribe({ topic: name, fromBeginning: true })
  const receive = async (count: number) => {
    const found: CloudEvent[] = []
    await new Promise<void>((resolve, reject) => {
      const eachMessage = async ({ message }: { message: Parameters<typeof cloudEventFrom.kafka>[0] }) => {
        if (found.push(cloudEventFrom.kafka(message)) === count) resolve()
      }
      consumer.run({ eachMessage }).catch(reject)
    })
    return found
  }
  const close = async () => {
    await consumer.disconnect()
    await producer.disconnect()
  }
  return { target: kafka(producer, { topic: name }), receive, close }
}

/** The labs of each broker. `dropsRepeats`: the broker does so by the id of a message. */
export const labs: readonly {
  readonly broker: BrokerName
  readonly what: string
  readonly make: Make
  readonly keepsOrder: boolean
  readonly dropsRepeats: boolean
}[] = [
  { broker: 'nats', what: 'NATS JetStream', make: natsLab, keepsOrder: true, dropsRepeats: true },
  { broker: 'moto', what: 'SQS', make: sqsLab('moto', ''), keepsOrder: false, dropsRepeats: false },
  { broker: 'moto', what: 'SNS FIFO to SQS FIFO', make: snsLab, keepsOrder: true, dropsRepeats: true },
  { broker: 'moto', what: 'EventBridge to SQS', make: eventBridgeLab, keepsOrder: false, dropsRepeats: false },
  { broker: 'elasticmq', what: 'SQS FIFO', make: sqsLab('elasticmq', '.fifo'), keepsOrder: true, dropsRepeats: true },
  { broker: 'rabbitmq', what: 'RabbitMQ', make: rabbitLab, keepsOrder: true, dropsRepeats: false },
  { broker: 'kafka', what: 'Kafka', make: kafkaLab, keepsOrder: true, dropsRepeats: false },
]
