import { join } from 'node:path'
import { endProgram, freePort, runProgram, type Server, startProgram } from './child.ts'
import { cached } from './maven.ts'

const version = '5.2.5'
/** The whole extra `moto[server]` has three times as much, for services that the tests do not use. */
const packages = [`moto==${version}`, 'flask==3.1.2', 'flask-cors==6.0.1', 'jsonpath-ng==1.7.0']

/**
 * Starts a private moto: SQS, SNS and EventBridge in memory. PyPI has it; it is fetched once, into a
 * folder outside of the repository.
 */
export async function startMoto(): Promise<Server> {
  const folder = await cached(`moto-${version}`, (target) =>
    runProgram('python3', ['-m', 'pip', 'install', '--quiet', '--target', target, ...packages]),
  ).catch((cause: unknown) => {
    throw new Error(
      'There is no moto for the tests: it needs python3 with pip, and PyPI. Or set TEST_MOTO_URL to a moto server, or leave it out: BROKERS=nats npm test',
      { cause },
    )
  })
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const env = { ...process.env, PYTHONPATH: folder }
  const child = await startProgram(
    'python3',
    [join(folder, 'bin', 'moto_server'), '-H', '127.0.0.1', '-p', String(port)],
    { env },
    () =>
      fetch(`${url}/moto-api/data.json`).then(
        () => true,
        () => false,
      ),
  )
  return { url, stop: () => endProgram(child, 'SIGKILL') }
}
