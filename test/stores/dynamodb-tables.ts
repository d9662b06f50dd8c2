import { DynamoDB } from '@aws-sdk/client-dynamodb'
import { DynamoDBStreams } from '@aws-sdk/client-dynamodb-streams'

const access = { region: 'local', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } }

/** A client of the test server. */
export const dynamoDb = (endpoint: string): DynamoDB => new DynamoDB({ endpoint, ...access })

/** A client for the streams of the test server. */
export const dynamoDbStreams = (endpoint: string): DynamoDBStreams => new DynamoDBStreams({ endpoint, ...access })

/** Names of tables that nobody else has. */
export function newTables() {
  const prefix = `t${crypto.randomUUID().slice(0, 8)}`
  return { events: `${prefix}.Events`, snapshots: `${prefix}.Snapshots`, views: `${prefix}.Views`, meta: `${prefix}.Meta` }
}

export async function removeTables(client: DynamoDB, tables: ReturnType<typeof newTables>): Promise<void> {
  await Promise.all(Object.values(tables).map((TableName) => client.deleteTable({ TableName }).catch(() => {})))
}

type Operation = 'getItem' | 'putItem' | 'updateItem' | 'query' | 'batchGetItem' | 'batchWriteItem' | 'transactWriteItems'
type Call = (input: never) => Promise<Readonly<Record<string, unknown>>>

/** The client with its calls counted, its consumption summed up, and single calls answered by the test. */
export function watched(client: DynamoDB) {
  const calls: string[] = []
  const inputs: object[] = []
  const units = { read: 0, write: 0 }
  const answers = new Map<string, ((send: () => Promise<unknown>, input: never) => Promise<unknown>)[]>()
  const proxy = new Proxy(client, {
    get(target, name) {
      const method = Reflect.get(target, name) as unknown
      if (typeof method !== 'function' || typeof name !== 'string') return method
      return async (input: object) => {
        calls.push(name)
        inputs.push(input)
        const send = async () => {
          const counted = name === 'describeTable' ? input : { ...input, ReturnConsumedCapacity: 'TOTAL' }
          const output = await (method as Call).call(target, counted as never)
          for (const { CapacityUnits = 0 } of [output.ConsumedCapacity ?? []].flat() as { CapacityUnits?: number }[])
            units[/^(put|update|batchWrite|transactWrite)/.test(name) ? 'write' : 'read'] += CapacityUnits
          return output
        }
        const answer = answers.get(name)?.shift()
        return answer === undefined ? send() : answer(send, input as never)
      }
    },
  })
  return {
    client: proxy,
    calls,
    inputs,
    units,
    /** The next calls of this operation end so, each once. */
    next(operation: Operation, ...all: ((send: () => Promise<unknown>, input: never) => Promise<unknown>)[]) {
      answers.set(operation, [...(answers.get(operation) ?? []), ...all])
    },
    /** Forgets what was counted. */
    reset() {
      calls.length = 0
      inputs.length = 0
      units.read = 0
      units.write = 0
    },
  }
}
