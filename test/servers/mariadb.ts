import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { endProgram, freePort, privateFolder, runProgram, type Server, startProgram } from './child.ts'
import { haveDocker, haveProgram } from './programs.ts'

/** A MariaDB or MySQL that can also be killed and restarted on its data. */
export interface MySqlServer extends Server {
  readonly url: `mysql://${string}`
  readonly port: number
  /** Kills it like a power failure, except for the disk. */
  kill(): Promise<void>
  start(): Promise<void>
}

export interface MySqlOptions {
  readonly settings?: Readonly<Record<string, string>>
}

/** A program with its first arguments. */
export type Command = readonly [program: string, ...args: string[]]

const asRoot = process.getuid?.() === 0 ? ['--user=root'] : []

/** Does not sync to disk at each commit. */
const hasty = { innodb_flush_log_at_trx_commit: '0' }

/** Starts a private MariaDB in its own folder, with the program on the PATH, or else in Docker. */
export async function startMariaDb({ settings = hasty }: MySqlOptions = {}): Promise<MySqlServer> {
  // mariadb-install-db runs a program that Debian has in another package than the server.
  const installed =
    (await haveProgram('mariadbd', 'mariadb-server')) && (await haveProgram('my_print_defaults', 'mariadb-client-core'))
  if (!installed && (await haveDocker())) return startInDocker('mariadb:11', 'MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1')
  if (!installed)
    throw new Error(
      'There is no MariaDB for the tests: install it (Debian and Ubuntu: `apt-get install mariadb-server`, macOS: `brew install mariadb`), or start Docker. ' +
        'Or set TEST_MARIADB_URL to a server that the tests may fill, or leave it out: STORES=memory,sqlite npm test',
    )
  const folder = await privateFolder('mariadb')
  await runProgram('mariadb-install-db', [
    '--no-defaults',
    `--datadir=${join(folder, 'data')}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    ...asRoot,
  ])
  return startOnData(folder, ['mariadbd'], { skip_name_resolve: 'ON', ...settings })
}

/** Starts a server on the data in `folder`/data, and removes the folder when the server stops. */
export async function startOnData(
  folder: string,
  command: Command,
  settings: Readonly<Record<string, string>>,
): Promise<MySqlServer> {
  const port = await freePort()
  const own = { port: String(port), bind_address: '127.0.0.1', max_connections: '500' }
  const options = { ...settings, ...own, datadir: join(folder, 'data'), socket: join(folder, 'socket') }
  const [program, ...args] = commandLine(command, options)
  const run = () => startProgram(program, args, {}, (output) => /ready for connections/.test(output))
  let child = await run()
  return {
    url: `mysql://root@127.0.0.1:${port}/mysql`,
    port,
    kill: () => endProgram(child, 'SIGKILL'),
    async start() {
      child = await run()
    },
    async stop() {
      await endProgram(child, 'SIGKILL')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export function commandLine(command: Command, settings: Readonly<Record<string, string>>): Command {
  const options = Object.entries(settings).map(([name, value]) => `--${name.replaceAll('_', '-')}=${value}`)
  return [...command, '--no-defaults', ...asRoot, ...options]
}

/**
 * Starts a server from an image that first starts another one without a port, to create the data.
 */
export async function startInDocker(image: string, emptyPassword: string): Promise<MySqlServer> {
  const port = await freePort()
  const name = `cqrs-es-${image.replace(':', '-')}-${port}`
  const args = ['run', '--name', name, '-e', emptyPassword, '-p', `127.0.0.1:${port}:3306`]
  await startProgram('docker', [...args, image], {}, (output) => /ready for connections[\s\S]*port: 3306\s/.test(output))
  const docker = (...command: readonly string[]) => runProgram('docker', [...command, name])
  return {
    url: `mysql://root@127.0.0.1:${port}/mysql`,
    port,
    kill: () => docker('kill'),
    start: () => docker('start'),
    stop: () => docker('rm', '--force'),
  }
}
