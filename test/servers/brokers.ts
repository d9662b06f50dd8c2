import { isKafkaInstalled } from './kafka.ts'
import { isRabbitMqInstalled } from './rabbitmq.ts'

/** Brokers that tests publish to. The last two take long to get and to start. */
export const allBrokers = ['nats', 'moto', 'elasticmq', 'kafka', 'rabbitmq'] as const

export type BrokerName = (typeof allBrokers)[number]

/** Tested where they are installed, or when `BROKERS` names them. */
const slow: Partial<Record<BrokerName, boolean>> = {
  kafka: isKafkaInstalled() || Boolean(process.env.TEST_KAFKA_URL),
  rabbitmq: isRabbitMqInstalled() || Boolean(process.env.TEST_RABBITMQ_URL),
}

/** The brokers to test: `BROKERS=all`, those in `BROKERS=nats,kafka`, or those that are quick to get. */
export const brokers: readonly BrokerName[] = parse(process.env.BROKERS)

/** Says which brokers are not tested, and how to test them. */
export function sayUntested(): void {
  const untested = allBrokers.filter((name) => !brokers.includes(name))
  if (untested.length === 0) return
  const why = process.env.BROKERS ? 'as BROKERS says' : 'because they are not installed: ask with BROKERS=all'
  console.warn(`The brokers ${untested.join(', ')} are not tested, ${why}.`)
}

function parse(names: string | undefined): readonly BrokerName[] {
  if (names?.trim() === 'all') return allBrokers
  if (names === undefined || names.trim() === '') return allBrokers.filter((name) => slow[name] !== false)
  return names.split(',').map((text) => {
    const name = allBrokers.find((broker) => broker === text.trim())
    if (name === undefined)
      throw new Error(`BROKERS: there is no broker '${text.trim()}'; there are all, ${allBrokers.join(', ')}.`)
    return name
  })
}
