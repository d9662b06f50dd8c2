import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startPackage } from '../package/tarball.ts'
import type { Server } from './child.ts'
import { startDynamoDb } from './dynamodb.ts'
import { startDynamoDbLocal } from './dynamodb-local.ts'
import { startElasticMq } from './elasticmq.ts'
import { startKafka } from './kafka.ts'
import { startMariaDb } from './mariadb.ts'
import { startMoto } from './moto.ts'
import { startMySql } from './mysql.ts'
import { startNats } from './nats.ts'
import { startPostgres } from './postgres.ts'
import { startRabbitMq } from './rabbitmq.ts'
import { all, selected } from './stores.ts'

/** By name: the variable with the address of an existing server, and a function that starts one. */
const servers = {
  postgres: { given: 'TEST_POSTGRES_URL', start: () => startPostgres() },
  mariadb: { given: 'TEST_MARIADB_URL', start: () => startMariaDb() },
  mysql: { given: 'TEST_MYSQL_URL', start: () => startMySql() },
  dynamodb: { given: 'TEST_DYNAMODB_ENDPOINT', start: () => startDynamoDb() },
  'dynamodb-local': { given: 'TEST_DYNAMODB_LOCAL_ENDPOINT', start: () => startDynamoDbLocal() },
  nats: { given: 'TEST_NATS_URL', start: () => startNats() },
  moto: { given: 'TEST_MOTO_URL', start: () => startMoto() },
  elasticmq: { given: 'TEST_ELASTICMQ_URL', start: () => startElasticMq() },
  kafka: { given: 'TEST_KAFKA_URL', start: () => startKafka() },
  rabbitmq: { given: 'TEST_RABBITMQ_URL', start: () => startRabbitMq() },
  // No server, but as expensive: the packed package, whose address is the path of the tarball.
  package: { given: 'TEST_PACKAGE_TARBALL', start: () => startPackage() },
} as const satisfies Record<string, { given: string; start: () => Promise<Server> }>

export type ServerName = keyof typeof servers

/**
 * Vitest's global setup: responds to test files, each in its own process, that request a server
 * (`ask.ts`). The first request starts the server, and all servers stop at the end: a run of some
 * tests starts only the servers it needs.
 */
export default async function setup(): Promise<() => Promise<void>> {
  if (selected !== all) console.log(`Only the stores ${selected.join(', ')} are tested, as STORES says.`)
  const started = new Map<ServerName, Promise<Server>>()
  const urlOf = async (name: ServerName): Promise<string> => {
    const given = process.env[servers[name].given]
    if (given) return given
    let server = started.get(name)
    if (server === undefined) {
      server = servers[name].start()
      started.set(name, server)
    }
    return (await server).url
  }
  const desk = createServer((request, response) => {
    urlOf(request.url?.slice(1) as ServerName).then(
      (url) => response.end(JSON.stringify({ url })),
      (error: Error) => response.end(JSON.stringify({ error: error.stack })),
    )
  })
  desk.requestTimeout = 0
  desk.keepAliveTimeout = 0
  await new Promise<void>((resolve) => desk.listen(0, '127.0.0.1', resolve))
  process.env.TEST_SERVERS = `http://127.0.0.1:${(desk.address() as AddressInfo).port}`
  return async () => {
    desk.closeAllConnections()
    desk.close()
    const all = await Promise.allSettled(started.values())
    await Promise.all(all.map((server) => (server.status === 'fulfilled' ? server.value.stop() : undefined)))
  }
}
