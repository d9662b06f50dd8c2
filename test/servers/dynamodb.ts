import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { endProgram, freePort, privateFolder, type Server, startProgram } from './child.ts'
import { haveDocker } from './programs.ts'

const require = createRequire(import.meta.url)

/** Starts a private DynamoDB: the emulator that npm has brought, or Amazon's own in Docker. */
export async function startDynamoDb(): Promise<Server> {
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
    const child = await startProgram(program, ['--port', String(port)], { cwd }, answers)
    return { url, stop: () => endProgram(child, 'SIGTERM') }
  }
  if (!(await haveDocker()))
    throw new Error(
      'There is no DynamoDB for the tests: npm has an emulator for Linux on x64, elsewhere Docker is needed. ' +
        'Or set TEST_DYNAMODB_ENDPOINT, or leave it out: STORES=memory,sqlite npm test',
    )
  const args = ['run', '--rm', '-p', `127.0.0.1:${port}:8000`, 'amazon/dynamodb-local']
  const child = await startProgram('docker', args, {}, answers)
  return { url, stop: () => endProgram(child, 'SIGTERM') }
}

function emulator(): string | undefined {
  try {
    return join(dirname(require.resolve(`@dynoxide/${process.platform}-${process.arch}/package.json`)), 'dynoxide')
  } catch {
    return undefined
  }
}
