import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request to DynamoDB. */
export interface Passing {
  /** Name of the access key: in the local run, the name of the function. */
  readonly who: string
  readonly body: string
  /** Permissions that IAM would require, such as `PutItem events`, with the role of the table. */
  readonly needs: readonly string[]
}

/**
 * A proxy between the functions and DynamoDB: records the permissions that requests need, and
 * refuses requests for a test.
 */
export class DynamoDbProxy {
  readonly seen = new Map<string, Set<string>>()
  refuses: (request: Passing) => boolean = () => false
  readonly #server: Server
  readonly #to: string
  readonly #prefix: string

  constructor(to: string, prefix: string) {
    this.#to = to
    this.#prefix = prefix
    this.#server = createServer(async (request, response) => {
      const body = await textOf(request)
      const passing = this.#passing(request, body)
      const seen = this.seen.get(passing.who) ?? new Set()
      this.seen.set(passing.who, seen)
      for (const need of passing.needs) seen.add(need)
      if (this.refuses(passing)) {
        const type = 'com.amazon.coral.service#AccessDeniedException'
        response.writeHead(400, { 'Content-Type': 'application/x-amz-json-1.0' })
        return void response.end(JSON.stringify({ __type: type, message: 'The test refuses this.' }))
      }
      const { host: _, connection: __, ...headers } = request.headers as Record<string, string>
      const answer = await fetch(this.#to, { method: 'POST', headers, body })
      response.writeHead(answer.status, [...answer.headers].filter(([name]) => name !== 'connection').flat())
      response.end(Buffer.from(await answer.arrayBuffer()))
    })
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #passing({ headers }: IncomingMessage, body: string): Passing {
    const [, who = ''] = /Credential=([^/]+)\//.exec(headers.authorization ?? '') ?? []
    const [, operation = ''] = String(headers['x-amz-target']).split('.')
    return { who, body, needs: this.#needsOf(operation, JSON.parse(body)) }
  }

  /** https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html */
  #needsOf(operation: string, input: Input): readonly string[] {
    if (operation === 'TransactWriteItems')
      return (input.TransactItems ?? []).flatMap((item) =>
        Object.entries(item).map(([action, { TableName }]) => `${actions[action]} ${this.#roleOf(TableName)}`),
      )
    if (input.RequestItems !== undefined)
      return Object.keys(input.RequestItems).map((table) => `${operation} ${this.#roleOf(table)}`)
    const index = input.IndexName === undefined ? '' : `/index/${input.IndexName}`
    return [`${operation} ${this.#roleOf(input.TableName ?? '')}${index}`]
  }

  #roleOf(table: string): string {
    return table.startsWith(`${this.#prefix}-`) ? table.slice(this.#prefix.length + 1) : table
  }
}

interface Input {
  readonly TableName?: string
  readonly IndexName?: string
  readonly RequestItems?: Readonly<Record<string, unknown>>
  readonly TransactItems?: readonly Readonly<Record<string, { readonly TableName: string }>>[]
}

const actions: Readonly<Record<string, string>> = {
  Put: 'PutItem',
  Update: 'UpdateItem',
  Delete: 'DeleteItem',
  ConditionCheck: 'ConditionCheckItem',
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
