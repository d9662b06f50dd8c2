import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { isFull } from '../strength.ts'
import { endProgram, freePort, privateFolder, runProgram, type Server, startProgram } from './child.ts'

/** Amazon's own emulator. Maven has it, npm does not. */
export const dynamoDbLocalVersion = '2.6.1'

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'cqrs-es-tests')
const library = join(cache, `dynamodb-local-${dynamoDbLocalVersion}`)

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>cqrs-es</groupId>
  <artifactId>dynamodb-local</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>com.amazonaws</groupId>
      <artifactId>DynamoDBLocal</artifactId>
      <version>${dynamoDbLocalVersion}</version>
    </dependency>
  </dependencies>
</project>
`

/**
 * Starts a private DynamoDB Local, with its tables in memory. Maven fetches it once, into a cache
 * outside of the repository.
 */
export async function startDynamoDbLocal(): Promise<Server> {
  await fetchLibrary()
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

async function fetchLibrary(): Promise<void> {
  if (existsSync(library)) return
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, 'fetching-'))
  try {
    await writeFile(join(folder, 'pom.xml'), pom)
    const output = join(folder, 'lib')
    await runProgram('mvn', ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${output}`], { cwd: folder })
    // Atomic: another run may have been first.
    await rename(output, library).catch((error: unknown) => {
      if (!existsSync(library)) throw error
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
