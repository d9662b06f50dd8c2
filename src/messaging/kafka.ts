import type { CloudEvent } from '../publications/cloud-event.ts'
import type { Target } from '../publications/target.ts'
import { attributesOf } from './headers.ts'
import { checkTargetOptions, checkTextOrFunction } from './options.ts'

/** The used part of a Kafka producer; that of kafkajs fits. */
export interface KafkaProducer {
  sendBatch(batch: {
    acks?: number
    topicMessages: { topic: string; messages: { key: string; value: string; headers: Record<string, string> }[] }[]
  }): Promise<unknown>
}

/** Options of `kafka`. */
export interface KafkaOptions {
  /** Topic, or a function that returns the topic of a message. */
  readonly topic: string | ((message: CloudEvent) => string)
  /** Name of the target. Default: `kafka:<topic>`, or `kafka` if `topic` is a function. */
  readonly name?: string
  /** Bytes of one call. Default 1,000,000. */
  readonly mostBytes?: number
}

/**
 * Publishes to Kafka, in binary mode, with acknowledgement by all in-sync replicas.
 *
 * Messages with one `partitionkey` go to one partition, in order. Create the producer with
 * `idempotent: true`, or a retry inside the client can reorder them. A crash sends messages again:
 * consumers drop repeats by the headers `ce_source` and `ce_id`.
 *
 * @throws DefinitionError for wrong options
 *
 * @example
 * ```ts no-run
 * import { kafka, type KafkaProducer } from 'cqrs-es/messaging'
 *
 * declare const producer: KafkaProducer // await kafka.producer({ idempotent: true }).connect()
 *
 * export const target = kafka(producer, { topic: 'orders' })
 * ```
 */
export function kafka(producer: KafkaProducer, options: KafkaOptions): Target {
  const { name, mostBytes } = checkTargetOptions('kafka', producer, 'sendBatch', options, ['topic'], 1_000_000)
  const { topic } = options
  checkTextOrFunction('kafka: topic', topic)
  const topicOf = typeof topic === 'function' ? topic : () => topic
  return {
    name: name ?? (typeof topic === 'function' ? 'kafka' : `kafka:${topic}`),
    keeps: 'order',
    most: { messages: 1_000, bytes: mostBytes },
    send: async (messages) => {
      const byTopic = new Map<string, ReturnType<typeof toKafka>[]>()
      for (const message of messages) {
        const to = topicOf(message)
        const all = byTopic.get(to) ?? []
        byTopic.set(to, all)
        all.push(toKafka(message))
      }
      await producer.sendBatch({ acks: -1, topicMessages: [...byTopic].map(([to, all]) => ({ topic: to, messages: all })) })
    },
  }
}

const toKafka = (message: CloudEvent) => ({
  key: message.partitionkey ?? message.id,
  value: JSON.stringify(message.data),
  headers: {
    'content-type': 'application/json',
    ...Object.fromEntries(attributesOf(message).map(([attribute, value]) => [`ce_${attribute}`, value])),
  },
})
