import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createAdaptorServer } from '@hono/node-server'
import { startDynamoDb } from '../../../test/servers/dynamodb.ts'
import { type Bundle, bundle, bundleFunctions } from '../bundle.ts'
import { type FunctionName, functionNames, functionSettings } from '../settings.ts'
import { environmentOf } from './environment.ts'
import { routes, scheduled } from './routes.ts'
import { LocalFunction } from './sandbox.ts'
import { type DeadRecords, LocalStream } from './stream.ts'
import { makeTables } from './tables.ts'

export interface BankOptions {
  /** 0: any free port. */
  readonly port: number
  /** Address of a DynamoDB emulator. By default a private one, which ends with the bank. */
  readonly endpoint: string | undefined
  /** Prefix of the table names. */
  readonly prefix: string
  /** Folder of the functions of another app, as seen from `serverless-bank`. */
  readonly source?: string
  /** Milliseconds between two calls of the function `drain`. By default, only `/_local/drain` calls it. */
  readonly drainMs?: number
}

export interface LocalBank {
  readonly url: string
  readonly endpoint: string
  readonly bundles: Readonly<Record<FunctionName, Bundle>>
  close(): Promise<void>
}

/**
 * The stack on this machine: the functions as deployed. This process plays AWS around them, except
 * DynamoDB, which is an emulator.
 */
export async function openBank({ port, endpoint: given, prefix, source, drainMs }: BankOptions): Promise<LocalBank> {
  const closing: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const step of closing.splice(0).reverse()) await step()
  }
  try {
    const emulator = given === undefined ? await startDynamoDb() : undefined
    if (emulator !== undefined) closing.push(() => emulator.stop())
    const endpoint = given ?? emulator?.url ?? ''
    const streamArn = await makeTables(endpoint, prefix)

    // Below this folder, so that node_modules has the AWS SDK.
    const dist = fileURLToPath(new URL('../dist/', import.meta.url))
    await mkdir(dist, { recursive: true })
    const folder = await mkdtemp(`${dist}local-`)
    closing.push(() => rm(folder, { recursive: true, force: true }))
    const bundles = await bundleFunctions(folder, source)
    const worker = (await bundle('local/worker.ts', `${folder}/worker`)).file
    const functions = Object.fromEntries(
      functionNames.map((name) => [
        name,
        new LocalFunction({
          name,
          file: bundles[name].file,
          worker,
          environment: environmentOf(name, endpoint, prefix),
          ...functionSettings[name],
        }),
      ]),
    ) as Record<FunctionName, LocalFunction>
    closing.push(() => Promise.all(Object.values(functions).map((one) => one.close())))

    const dead: DeadRecords[] = []
    const stream = new LocalStream({
      endpoint,
      streamArn,
      invoke: (event) => functions.stream.invoke(event),
      onDead: (records) => {
        dead.push(records)
        console.log('Dead letter:', JSON.stringify(records))
      },
    })
    stream.start()
    closing.push(() => stream.close())

    if (drainMs !== undefined) {
      const schedule = setInterval(() => functions.drain.invoke(scheduled()), drainMs)
      closing.push(async () => clearInterval(schedule))
    }

    const server = await listen(port, routes({ functions, stream, dead }))
    closing.push(() => new Promise((resolve) => server.close(resolve)))
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, endpoint, bundles, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function listen(port: number, handle: (request: Request, sourceIp: string) => Promise<Response>): Promise<Server> {
  const server = createAdaptorServer({
    fetch: (request, { incoming }) => handle(request, incoming.socket.remoteAddress ?? ''),
  }) as Server
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return server
}
