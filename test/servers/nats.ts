import { rm } from 'node:fs/promises'
import { endProgram, freePort, privateFolder, type Server, startProgram } from './child.ts'
import { haveProgram } from './programs.ts'

/** Starts a private NATS with JetStream, with the program on the PATH. */
export async function startNats(): Promise<Server> {
  if (!(await haveProgram('nats-server', 'nats-server')))
    throw new Error(
      'There is no NATS for the tests: install it (Debian and Ubuntu: `apt-get install nats-server`, macOS: `brew install nats-server`). ' +
        'Or set TEST_NATS_URL to a server with JetStream, or leave it out: BROKERS=moto npm test',
    )
  const folder = await privateFolder('nats')
  const port = await freePort()
  const args = ['--jetstream', '--store_dir', folder, '--addr', '127.0.0.1', '--port', String(port)]
  const child = await startProgram('nats-server', args, {}, (output) => output.includes('Server is ready'))
  return {
    url: `nats://127.0.0.1:${port}`,
    async stop() {
      await endProgram(child, 'SIGKILL')
      await rm(folder, { recursive: true, force: true })
    },
  }
}
