import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { endProgram, freePort, privateFolder, type Server, startProgram } from './child.ts'
import { haveProgram } from './programs.ts'

const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

/**
 * Starts a PgBouncer in transaction mode in front of a Postgres: each transaction may run on
 * another of its three connections.
 */
export async function startPgBouncer(postgresUrl: string): Promise<Server> {
  if (!(await haveProgram('pgbouncer', 'pgbouncer')))
    throw new Error(
      'There is no PgBouncer for the tests of the Postgres store: install it (`apt-get install pgbouncer`, `brew install pgbouncer`).',
    )
  const { hostname, port: serverPort, username } = new URL(postgresUrl)
  const folder = await privateFolder('pgbouncer')
  const port = await freePort()
  const users = join(folder, 'users.txt')
  const settings = join(folder, 'pgbouncer.ini')
  await writeFile(users, `"${username}" ""\n`)
  await writeFile(
    settings,
    `[databases]
* = host=${hostname} port=${serverPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
`,
  )
  for (const file of [folder, users, settings]) if (nobody.uid) await chown(file, nobody.uid, nobody.gid)
  const child = await startProgram('pgbouncer', [settings], nobody, (output) => /process up/.test(output))
  return {
    url: `postgres://${username}@127.0.0.1:${port}/postgres`,
    stop: () => endProgram(child, 'SIGKILL'),
  }
}
