import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { endProgram, freePort, privateFolder, runProgram, type Server, startProgram } from './child.ts'
import { haveDocker } from './programs.ts'

const require = createRequire(import.meta.url)

/** A DynamoDB that can also be killed and restarted. */
export interface DynamoDbServer extends Server {
  readonly port: number
  /** Kills it like a power failure, except for the disk. */
  kill(): Promise<void>
  start(): Promise<void>
}

/**
 * Starts a private DynamoDB: the emulator from npm, or Amazon's own in Docker. Only a durable one
 * keeps its data over a restart.
 */
export async function startDynamoDb({ durable = false }: { readonly durable?: boolean } = {}): Promise<DynamoDbServer> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const answers = () =>
    fetch(url).then(
      () => true,
      () => false,
    )
  const program = emulator()
  if (program !== undefined) {
    const cwd = await privateFolder('dynamodb')
    const args = ['--port', String(port), ...(durable ? ['--db-path', join(cwd, 'data.sqlite')] : [])]
    const run = () => startProgram(program, args, { cwd }, answers)
    let child = await run()
    return {
      url,
      port,
      kill: () => endProgram(child, 'SIGKILL'),
      async start() {
        child = await run()
      },
      stop: () => endProgram(child, 'SIGTERM'),
    }
  }
  if (!(await haveDocker()))
    throw new Error(
      'There is no DynamoDB for the tests: npm has an emulator for Linux on x64, elsewhere Docker is needed. ' +
        'Or set TEST_DYNAMODB_ENDPOINT, or leave it out: STORES=memory,sqlite npm test',
    )
  const name = `cqrs-es-dynamodb-${port}`
  const database = durable ? ['-sharedDb', '-dbPath', '.'] : ['-sharedDb', '-inMemory']
  const args = ['run', '--name', name, '-p', `127.0.0.1:${port}:8000`, 'amazon/dynamodb-local']
  await startProgram('docker', [...args, '-jar', 'DynamoDBLocal.jar', ...database], {}, answers)
  const docker = (...command: readonly string[]) => runProgram('docker', [...command, name])
  return {
    url,
    port,
    kill: () => docker('kill'),
    async start() {
      await docker('start')
      while (!(await answers())) await new Promise((resolve) => setTimeout(resolve, 50))
    },
    stop: () => docker('rm', '--force'),
  }
}

function emulator(): string | undefined {
  try {
    return join(dirname(require.resolve(`@dynoxide/${process.platform}-${process.arch}/package.json`)), 'dynoxide')
  } catch {
    return undefined
  }
}
