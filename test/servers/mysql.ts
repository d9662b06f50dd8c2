import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { outputOf, privateFolder, runProgram } from './child.ts'
import { type Command, commandLine, type MySqlOptions, type MySqlServer, startInDocker, startOnData } from './mariadb.ts'
import { aptLock, haveDocker } from './programs.ts'

interface MySqlProgram {
  readonly command: Command
  readonly settings?: Readonly<Record<string, string>>
}

/** Does not sync to disk at each commit. */
const hasty = { innodb_flush_log_at_trx_commit: '0', sync_binlog: '0' }

/**
 * Starts a private MySQL in its own folder: the one on the PATH, that of Debian's unstable release,
 * or one in Docker.
 */
export async function startMySql({ settings = hasty }: MySqlOptions = {}): Promise<MySqlServer> {
  const program = (await onPath()) ?? (await fromDebian())
  if (program === undefined && (await haveDocker())) return startInDocker('mysql:lts', 'MYSQL_ALLOW_EMPTY_PASSWORD=1')
  if (program === undefined)
    throw new Error(
      'There is no MySQL for the tests: install it (Ubuntu: `apt-get install mysql-server-core-8.0`, macOS: `brew install mysql`), or start Docker. ' +
        'Or set TEST_MYSQL_URL to a server that the tests may fill, or leave it out: STORES=memory,sqlite npm test',
    )
  const folder = await privateFolder('mysql')
  const always = { ...program.settings, secure_file_priv: 'NULL', mysqlx: 'OFF' }
  const { lower_case_table_names: lowerCase } = settings
  // MySQL accepts this setting only when it creates its data folder.
  const atFirst = { ...always, ...(lowerCase !== undefined && { lower_case_table_names: lowerCase }) }
  const [file, ...args] = commandLine(program.command, { ...atFirst, datadir: join(folder, 'data') })
  await runProgram(file, [...args, '--initialize-insecure'])
  return startOnData(folder, program.command, { ...always, ...settings })
}

/** Debian's MariaDB also installs itself as `mysqld`. */
async function onPath(): Promise<MySqlProgram | undefined> {
  const version = await outputOf('mysqld', ['--version']).catch(() => 'none')
  return /mariadb|none/i.test(version) ? undefined : { command: ['mysqld'] }
}

/**
 * The unpacked program and its libraries stay here for the next run. Remove the folder to get a
 * newer MySQL.
 */
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'cqrs-es-tests', 'mysql')

/**
 * The MySQL of Debian's unstable release, because Debian 12 and 13 have none. The system does not
 * change: apt works on its own state without installed packages, so that it also fetches the C
 * library. The loader of that library starts the program.
 */
async function fromDebian(): Promise<MySqlProgram | undefined> {
  if (!existsSync(join(cache, 'usr/sbin/mysqld'))) {
    const os = await readFile('/etc/os-release', 'utf8').catch(() => '')
    if (process.getuid?.() !== 0 || !/^ID=debian$/m.test(os)) return undefined
    await fetchFromDebian()
  }
  const libraries = await readdir(join(cache, 'usr/lib'))
  const library = join(cache, 'usr/lib', libraries.find((name) => /-linux-gnu/.test(name)) ?? '')
  const loader = (await readdir(library)).find((name) => /^ld-linux.*\.so\.\d$/.test(name)) ?? ''
  return {
    command: [join(library, loader), '--library-path', library, join(cache, 'usr/sbin/mysqld')],
    settings: {
      basedir: join(cache, 'usr'),
      lc_messages_dir: join(cache, 'usr/share/mysql'),
      plugin_dir: join(cache, 'usr/lib/mysql/plugin'),
    },
  }
}

async function fetchFromDebian(): Promise<void> {
  console.log(`Fetching MySQL from Debian unstable into ${cache}, for the tests.`)
  await mkdir(join(cache, '..'), { recursive: true })
  const folder = await privateFolder('mysql-from-debian')
  const keyrings = ['pgp', 'gpg'].map((ending) => `/usr/share/keyrings/debian-archive-keyring.${ending}`)
  const keyring = keyrings.find((file) => existsSync(file))
  if (keyring === undefined) throw new Error(`MySQL for the tests needs ${keyrings[1]}: apt-get install debian-archive-keyring`)
  await writeFile(join(folder, 'sources.list'), `deb [signed-by=${keyring}] ${await debianMirror()} unstable main\n`)
  await writeFile(join(folder, 'status'), '')
  await writeFile(
    join(folder, 'apt.conf'),
    `Dir::State "${folder}";
Dir::State::status "${folder}/status";
Dir::State::lists "${folder}/lists";
Dir::Cache "${folder}/cache";
Dir::Etc::sourcelist "${folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Sandbox::User "root";
Acquire::Languages "none";
`,
  )
  for (const name of ['lists', 'cache/archives']) await mkdir(join(folder, name, 'partial'), { recursive: true })
  const env = { ...process.env, APT_CONFIG: join(folder, 'apt.conf'), DEBIAN_FRONTEND: 'noninteractive' }
  // Another process may fetch it at the same time: it waits, and finds the finished folder.
  await runProgram('flock', [`${cache}.lock`, 'sh', '-ec', unpack, folder, cache], { env })
  await rm(folder, { recursive: true, force: true })
}

const unpack = `
[ ! -e "$1/usr/sbin/mysqld" ] || exit 0
apt-get update
apt-get install -y --no-install-recommends --download-only mysql-server-core
rm -rf "$1" "$1.partial"
mkdir "$1.partial"
for package in "$0"/cache/archives/*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -x -C "$1.partial" --no-same-owner; done
mv "$1.partial" "$1"`

/**
 * The mirror from which this system takes Debian. The lists of `apt-get update` name the publisher.
 */
async function debianMirror(): Promise<string> {
  const targets = () =>
    outputOf('apt-get', ['indextargets', '--format', '$(ORIGIN) $(RELEASE) $(REPO_URI)', 'Identifier: Packages'])
  const find = (lines: string) => /^Debian [^- ]+ (\S+)$/m.exec(lines)?.[1]
  const known = find(await targets())
  if (known !== undefined) return known
  await runProgram('flock', [aptLock, 'apt-get', 'update'])
  const mirror = find(await targets())
  if (mirror === undefined)
    throw new Error('There is no Debian mirror among the sources of apt to take a MySQL for the tests from.')
  return mirror
}
