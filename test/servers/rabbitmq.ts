import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { endProgram, freePort, isOpen, privateFolder, type Server, startProgram } from './child.ts'
import { haveProgram } from './programs.ts'

/** The program of Debian's package. The one on the PATH changes the user first. */
const program = '/usr/lib/rabbitmq/bin/rabbitmq-server'

export const isRabbitMqInstalled = (): boolean => existsSync(program)

/** Starts a private RabbitMQ, with the program of Debian. */
export async function startRabbitMq(): Promise<Server> {
  if (!isRabbitMqInstalled()) await haveProgram(program, 'rabbitmq-server').catch(() => false)
  if (!isRabbitMqInstalled())
    throw new Error(
      'There is no RabbitMQ for the tests: install it (Debian and Ubuntu: `apt-get install rabbitmq-server`). ' +
        'Or set TEST_RABBITMQ_URL to a server, or leave it out: BROKERS=nats,moto npm test',
    )
  const folder = await privateFolder('rabbitmq')
  const [port, dist] = [await freePort(), await freePort()]
  const env = {
    ...process.env,
    HOME: folder,
    RABBITMQ_NODENAME: `tests${port}@localhost`,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_DIST_PORT: String(dist),
    RABBITMQ_MNESIA_BASE: folder,
    RABBITMQ_LOG_BASE: folder,
    RABBITMQ_ENABLED_PLUGINS_FILE: `${folder}/plugins`,
  }
  const child = await startProgram(program, [], { env }, () => isOpen(port))
  // The script starts a machine of its own, in the same process group.
  const kill = () => {
    try {
      process.kill(-(child.pid as number), 'SIGKILL')
    } catch {}
  }
  process.once('exit', kill)
  return {
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    async stop() {
      kill()
      await endProgram(child, 'SIGKILL')
      await rm(folder, { recursive: true, force: true })
    },
  }
}
