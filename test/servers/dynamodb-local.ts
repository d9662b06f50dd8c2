import { join } from 'node:path'
import { isFull } from '../strength.ts'
import { endProgram, freePort, privateFolder, runProgram, type Server, startProgram } from './child.ts'
import { fromMaven } from './maven.ts'

/** Amazon's own emulator. Maven has it, npm does not. */
export const dynamoDbLocalVersion = '2.6.1'

const fetchLibrary = (): Promise<string> => fromMaven('dynamodb-local', 'com.amazonaws', 'DynamoDBLocal', dynamoDbLocalVersion)

/**
 * Starts a private DynamoDB Local, with its tables in memory. Maven fetches it once, into a cache
 * outside of the repository.
 */
export async function startDynamoDbLocal(): Promise<Server> {
  const library = await fetchLibrary()
  const cwd = await privateFolder('dynamodb-local')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const child = await startProgram(
    'java',
    [
      `-Djava.library.path=${library}`,
      '-cp',
      join(library, '*'),
      'com.amazonaws.services.dynamodbv2.local.main.ServerRunner',
      '-inMemory',
      '-sharedDb',
      '-disableTelemetry',
      '-port',
      String(port),
    ],
    { cwd },
    () =>
      fetch(url).then(
        () => true,
        () => false,
      ),
  )
  return { url, stop: () => endProgram(child, 'SIGKILL') }
}

/**
 * Reason why DynamoDB Local cannot be tested here, if there is one. At full strength it is an
 * error, otherwise the run prints it and continues: the emulator from npm is tested everywhere.
 */
export async function withoutDynamoDbLocal(): Promise<string | undefined> {
  if (process.env.TEST_DYNAMODB_LOCAL_ENDPOINT) return undefined
  try {
    await runProgram('java', ['-version'])
    await fetchLibrary()
    return undefined
  } catch (error) {
    const why =
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'java and mvn are not on the PATH' : 'Maven could not fetch it'
    const said = `DynamoDB Local is not tested: ${why}.`
    if (isFull) throw new Error(said, { cause: error })
    console.warn(said, why.startsWith('Maven') ? (error as Error).message : '')
    return why
  }
}
