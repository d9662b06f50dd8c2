/**
 * Writes the versions that the tests run on into docs/reference/versions.md and the table of stores
 * in README.md.
 *
 * `npm run versions` starts each server and asks it. `-- --compare` fails when the page lacks a row
 * or has an extra one. It only reports a version that differs: servers are updated independently of
 * this repository.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { PGlite } from '@electric-sql/pglite'
import Libsql from 'libsql'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { root, run } from '../test/run.ts'
import { binary } from '../test/runtimes/binaries.ts'
import type { Server } from '../test/servers/child.ts'
import { dynamoDbLocalVersion } from '../test/servers/dynamodb-local.ts'
import { startMariaDb } from '../test/servers/mariadb.ts'
import { startMySql } from '../test/servers/mysql.ts'
import { startPostgres } from '../test/servers/postgres.ts'
import { versionsIn, withVersions } from './tested-on.ts'

const page = `${root}docs/reference/versions.md`

const manifest = async (file: string) => JSON.parse(await readFile(`${root}${file}`, 'utf8'))
const versionOf = async (name: string): Promise<string> => (await manifest(`node_modules/${name}/package.json`)).version

/** Runs `ask` on a server of its own. */
async function on<T extends Server>(start: () => Promise<T>, ask: (url: string) => Promise<string>): Promise<string> {
  const server = await start()
  try {
    return await ask(server.url)
  } finally {
    await server.stop()
  }
}

async function askPostgres(connectionString: string): Promise<string> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  const { rows } = await client.query('SHOW server_version')
  await client.end()
  return rows[0].server_version
}

async function askMysql(url: string): Promise<string> {
  const connection = await mysql.createConnection(url)
  const [rows] = await connection.query('SELECT VERSION() AS version')
  await connection.end()
  return (rows as { version: string }[])[0]?.version.replace(/-.*/, '') ?? ''
}

async function askPglite(): Promise<string> {
  const database = await PGlite.create()
  const { rows } = await database.query<{ server_version: string }>('SHOW server_version')
  await database.close()
  return `${await versionOf('@electric-sql/pglite')} (Postgres ${rows[0]?.server_version})`
}

const sqliteIn = async (runtime: 'Node 24' | 'Bun', program: string) => (await output(binary(runtime), program)).trim()

async function output(file: string, program: string): Promise<string> {
  const { code, output } = await run(file, ['-e', program], { env: { NODE_NO_WARNINGS: '1' } })
  if (code !== 0) throw new Error(output)
  return output
}

/** Parts of the tests by their names in the table, with functions that return their versions. */
const parts: Readonly<Record<string, () => Promise<string> | string>> = {
  'Node (oldest)': async () =>
    (JSON.parse(await readFile(`${root}package.json`, 'utf8')).engines.node as string).replace('>=', ''),
  'Node (newest)': async () => (await output(binary('Node 24'), 'console.log(process.versions.node)')).trim(),
  Bun: async () => (await output(binary('Bun'), 'console.log(Bun.version)')).trim(),
  'Postgres (oldest)': () => on(() => startPostgres({ version: '13' }), askPostgres),
  'Postgres (newest)': () => on(() => startPostgres(), askPostgres),
  PGlite: askPglite,
  MariaDB: () => on(() => startMariaDb(), askMysql),
  MySQL: () => on(() => startMySql(), askMysql),
  'SQLite in libsql': () =>
    (new Libsql(':memory:').prepare('SELECT sqlite_version() AS version').get() as { version: string }).version,
  'SQLite in node:sqlite': () =>
    sqliteIn(
      'Node 24',
      "console.log(new (require('node:sqlite').DatabaseSync)(':memory:').prepare('SELECT sqlite_version() AS v').get().v)",
    ),
  'SQLite in bun:sqlite': () =>
    sqliteIn(
      'Bun',
      "console.log(new (require('bun:sqlite').Database)(':memory:').query('SELECT sqlite_version() AS v').get().v)",
    ),
  'DynamoDB emulator dynoxide': () => versionOf('@dynoxide/linux-x64'),
  'DynamoDB Local': () => dynamoDbLocalVersion,
  ...Object.fromEntries(
    ['pg', 'postgres', '@neondatabase/serverless', 'mysql2', 'mariadb', 'libsql', '@aws-sdk/client-dynamodb'].map((name) => [
      `\`${name}\``,
      () => versionOf(name),
    ]),
  ),
}

const found = new Map<string, string>()
for (const [name, ask] of Object.entries(parts)) found.set(name, (await ask()).trim())

if (process.argv.includes('--compare')) {
  const written = versionsIn(await readFile(page, 'utf8'))
  for (const [name, version] of found)
    if (written.has(name) && written.get(name) !== version)
      console.log(`${name} is ${version}, and ${written.get(name)} in docs/reference/versions.md.`)
  const faults = [
    ...[...found.keys()].filter((name) => !written.has(name)).map((name) => `docs/reference/versions.md has no row for ${name}.`),
    ...[...written.keys()]
      .filter((name) => !found.has(name))
      .map((name) => `docs/reference/versions.md has a row for ${name}, which no test runs on.`),
  ]
  for (const fault of faults) console.error(fault)
  if (faults.length > 0) {
    console.error('Write the table again: npm run versions')
    process.exitCode = 1
  } else console.log('docs/reference/versions.md has a row for each part of the tests.')
} else {
  const rows = [...found].map(([name, version]) => `| ${name} | ${version} |`)
  await writeFile(
    page,
    `# Versions that the tests run on

\`npm run versions\` writes this page: it starts each server and asks it. The stores' pages say what runs on which driver.

| part | version |
| --- | --- |
${rows.join('\n')}
`,
  )
  const readme = `${root}README.md`
  await writeFile(readme, withVersions(await readFile(readme, 'utf8'), found))
  console.log('Wrote docs/reference/versions.md, and the table of stores in README.md.')
}
