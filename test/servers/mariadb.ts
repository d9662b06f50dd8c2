import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { endProgram, freePort, privateFolder, runProgram, type Server, startProgram } from './child.ts'
import { haveDocker, haveProgram } from './programs.ts'

/** A MariaDB that can also be stopped hard and started again on its data. */
export interface MariaDbServer extends Server {
  readonly port: number
  /** As a power cut does, but for the disk. */
  kill(): Promise<void>
  start(): Promise<void>
}

const asRoot = process.getuid?.() === 0 ? ['--user=root'] : []

/** Starts a private MariaDB in a folder of its own, with the program on the PATH, else in Docker. */
export async function startMariaDb({
  settings = { innodb_flush_log_at_trx_commit: '0' },
}: {
  readonly settings?: Readonly<Record<string, string>>
} = {}): Promise<MariaDbServer> {
  const installed = await haveProgram('mariadbd', 'mariadb-server')
  if (!installed && (await haveDocker())) return inDocker()
  if (!installed)
    throw new Error(
      'There is no MariaDB for the tests: install it (Debian and Ubuntu: `apt-get install mariadb-server`, macOS: `brew install mariadb`), or start Docker. ' +
        'Or set TEST_MYSQL_URL to a server that the tests may fill, or leave it out: STORES=memory,sqlite npm test',
    )
  const folder = await privateFolder('mariadb')
  const data = join(folder, 'data')
  await runProgram('mariadb-install-db', [
    '--no-defaults',
    `--datadir=${data}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    ...asRoot,
  ])
  const port = await freePort()
  const socket = join(folder, 'socket')
  const options = { ...settings, port: String(port), bind_address: '127.0.0.1', max_connections: '500', datadir: data, socket }
  const args = [
    '--no-defaults',
    '--skip-name-resolve',
    ...asRoot,
    ...Object.entries(options).map(([name, value]) => `--${name.replaceAll('_', '-')}=${value}`),
  ]
  const run = () => startProgram('mariadbd', args, {}, (output) => /ready for connections/.test(output))
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

async function inDocker(): Promise<MariaDbServer> {
  const port = await freePort()
  const name = `cqrs-es-mariadb-${port}`
  const args = ['run', '--rm', '--name', name, '-e', 'MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1', '-p', `127.0.0.1:${port}:3306`]
  await startProgram(
    'docker',
    [...args, 'mariadb:11'],
    {},
    (output) => (output.match(/ready for connections/g) ?? []).length >= 2,
  )
  const docker = (...command: readonly string[]) => runProgram('docker', [...command, name])
  return {
    url: `mysql://root@127.0.0.1:${port}/mysql`,
    port,
    kill: () => docker('kill'),
    start: () => docker('start'),
    stop: () => docker('rm', '--force'),
  }
}
