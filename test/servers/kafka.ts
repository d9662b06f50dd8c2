import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { endProgram, freePort, isOpen, outputOf, privateFolder, runProgram, type Server, startProgram } from './child.ts'
import { cache, fromMaven } from './maven.ts'

const version = '3.9.1'

export const isKafkaInstalled = (): boolean => existsSync(join(cache, `kafka-${version}`))

/** Starts a private Kafka of one node. Maven fetches it once, in about a minute. */
export async function startKafka(): Promise<Server> {
  const library = await fromMaven('kafka', 'org.apache.kafka', 'kafka_2.13', version).catch((cause: unknown) => {
    throw new Error(
      'There is no Kafka for the tests: it needs java and mvn. Or set TEST_KAFKA_URL to the address of a broker, or leave it out: BROKERS=nats,moto npm test',
      { cause },
    )
  })
  const cwd = await privateFolder('kafka')
  const [port, controller] = [await freePort(), await freePort()]
  await writeFile(
    join(cwd, 'kafka.properties'),
    `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controller}
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}
advertised.listeners=PLAINTEXT://127.0.0.1:${port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=${join(cwd, 'data')}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
`,
  )
  const java = (...args: string[]) => ['-Xmx400m', '-XX:TieredStopAtLevel=1', '-cp', join(library, '*'), ...args]
  const id = (await outputOf('java', java('kafka.tools.StorageTool', 'random-uuid'))).trim().split('\n').pop() ?? ''
  await runProgram('java', java('kafka.tools.StorageTool', 'format', '-t', id, '-c', 'kafka.properties'), { cwd })
  // Without a logger there is no output to wait for.
  const child = await startProgram('java', java('kafka.Kafka', 'kafka.properties'), { cwd }, () => isOpen(port))
  return {
    url: `127.0.0.1:${port}`,
    async stop() {
      await endProgram(child, 'SIGKILL')
      await rm(cwd, { recursive: true, force: true })
    },
  }
}
