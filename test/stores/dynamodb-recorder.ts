import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a program has asked of DynamoDB, and what that would be charged for. */
export interface Asked {
  /** Names of the operations, in order. */
  readonly requests: readonly string[]
  readonly read: number
  readonly write: number
  /** Read units of streams: one for each `GetRecords`. */
  readonly stream: number
}

/** Stands in front of a DynamoDB and writes down what is asked of it, by whichever program; each request is sent on with the question what it consumes. */
export interface Recorder {
  readonly url: string
  /** What was asked since the last call. */
  take(): Asked
  stop(): Promise<void>
}

export async function recordDynamoDb(url: string): Promise<Recorder> {
  const { hostname, port } = new URL(url)
  const agent = new Agent({ keepAlive: true })
  let asked = nothing()
  const server = createServer(async (incoming, outgoing) => {
    const [kind = '', operation = ''] = String(incoming.headers['x-amz-target']).split('.')
    asked.requests.push(operation)
    const isCharged = kind === 'DynamoDB_20120810' && !/^(Describe|Create|Delete|Update)\w*(Table|TimeToLive)$/.test(operation)
    const sent = await bytesOf(incoming)
    const body = isCharged ? Buffer.from(JSON.stringify({ ...JSON.parse(sent.toString()), ...consumption })) : sent
    const headers = { ...incoming.headers, 'content-length': body.length }
    const on = request({ hostname, port, method: 'POST', path: incoming.url, headers, agent }, async (answer) => {
      const answered = await bytesOf(answer)
      if (operation === 'GetRecords') asked.stream++
      if (isCharged) asked[isWrite.test(operation) ? 'write' : 'read'] += unitsIn(answered.toString())
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers).end(answered)
    })
    on.on('error', () => outgoing.destroy())
    on.end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = asked
      asked = nothing()
      return taken
    },
    stop() {
      agent.destroy()
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

const consumption = { ReturnConsumedCapacity: 'TOTAL' }
const isWrite = /^(Put|Update|Delete|BatchWrite|TransactWrite)/

const nothing = () => ({ requests: [] as string[], read: 0, write: 0, stream: 0 })

async function bytesOf(message: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of message) parts.push(part)
  return Buffer.concat(parts)
}

function unitsIn(answer: string): number {
  const { ConsumedCapacity = [] } = JSON.parse(answer) as { ConsumedCapacity?: Consumed | Consumed[] }
  return [ConsumedCapacity].flat().reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0)
}

interface Consumed {
  readonly CapacityUnits?: number
}
