import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { endProgram, freePort, privateFolder, type Server, startProgram } from './child.ts'
import { fromMaven } from './maven.ts'

/** Starts a private ElasticMQ: SQS with the limits of the real one. Maven fetches it once. */
export async function startElasticMq(): Promise<Server> {
  const library = await fromMaven('elasticmq', 'org.elasticmq', 'elasticmq-server_2.13', '1.6.12').catch((cause: unknown) => {
    throw new Error(
      'There is no ElasticMQ for the tests: it needs java and mvn. Or set TEST_ELASTICMQ_URL to a server, or leave it out: BROKERS=nats,moto npm test',
      { cause },
    )
  })
  const cwd = await privateFolder('elasticmq')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  await writeFile(
    join(cwd, 'elasticmq.conf'),
    `include classpath("application.conf")
node-address { protocol = http, host = 127.0.0.1, port = ${port}, context-path = "" }
rest-sqs { enabled = true, bind-port = ${port}, bind-hostname = "127.0.0.1" }
rest-stats { enabled = false }
`,
  )
  // One compiler and one collector: it lives for seconds.
  const jvm = ['-Xmx256m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Dconfig.file=elasticmq.conf']
  const args = [...jvm, '-cp', join(library, '*'), 'org.elasticmq.server.Main']
  const child = await startProgram('java', args, { cwd }, () =>
    fetch(url).then(
      () => true,
      () => false,
    ),
  )
  return { url, stop: () => endProgram(child, 'SIGKILL') }
}
