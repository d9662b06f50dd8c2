import { copyFile, mkdir, readdir, readFile } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import starterJson from '../../create/package.json' with { type: 'json' }
import packageJson from '../../package.json' with { type: 'json' }
import { compilers, root } from '../run.ts'
import { startDynamoDb } from '../servers/dynamodb.ts'
import { freshDatabase } from '../servers/fresh.ts'
import { unselected } from '../servers/stores.ts'
import { atStrength } from '../strength.ts'
import {
  type Choice,
  callLambda,
  compileTogether,
  manifestOf,
  packStarter,
  runScript,
  type Starter,
  startServer,
  tryReadme,
} from './starter.ts'

const choices: readonly Choice[] = [
  { store: 'sqlite', run: 'http' },
  { store: 'postgres', run: 'http' },
  { store: 'mysql', run: 'http' },
  { store: 'dynamodb', run: 'http' },
  { store: 'postgres', run: 'lambda' },
  { store: 'mysql', run: 'lambda' },
  { store: 'dynamodb', run: 'lambda' },
]
/** Those that are run as well: each takes some seconds. */
const isRun = atStrength({ moderate: ['sqlite-http', 'postgres-http', 'dynamodb-lambda'], full: choices.map(nameOf) })
const those = (run: Choice['run']) =>
  choices.filter((choice) => choice.run === run && isRun.includes(nameOf(choice)) && !unselected(choice.store))

let starter: Starter
beforeAll(async () => {
  starter = await packStarter()
  await Promise.all(choices.map(starter.project))
})
afterAll(() => starter?.close())

const projectOf = (choice: Choice) => join(starter.folder, nameOf(choice))

describe('what create-cqrs-es writes', () => {
  test.each(choices)('a project has the files of $store and $run', async (choice) => {
    const files = (await readdir(projectOf(choice), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) =>
        join(entry.parentPath, entry.name)
          .slice(projectOf(choice).length + 1)
          .replaceAll(sep, '/'),
      )
      .filter((file) => !file.startsWith('node_modules/') && file !== 'all.json')
    expect(files.sort()).toEqual(
      [
        '.env.example',
        '.github/workflows/ci.yml',
        '.gitignore',
        'README.md',
        ...(choice.store === 'sqlite' ? [] : ['compose.yaml']),
        'package.json',
        'src/app.ts',
        ...(choice.run === 'http' ? [] : ['src/create-schema.ts', 'src/lambda.ts']),
        'src/order.test.ts',
        'src/order.ts',
        ...(choice.run === 'http' ? ['src/server.ts'] : []),
        'src/store.ts',
        'tsconfig.json',
      ].sort(),
    )
  })

  test.each(Object.entries(compilers).slice(atStrength({ moderate: 1, full: 0 })))(
    'all projects compile on %s with the packages that their package.json names',
    async (_, compiler) => {
      expect(await compileTogether(choices.map(projectOf), compiler)).toBe('')
    },
  )

  test.each(choices.filter((choice) => isRun.includes(nameOf(choice))))(
    'a project of $store and $run passes its own tests',
    async (choice) => {
      expect(await runScript(projectOf(choice), 'test')).toMatch(/Tests +5 passed/)
    },
  )

  test('package.json has the name of the folder, and depends on the version of the starter', async () => {
    const { name, dependencies } = await manifestOf(projectOf({ store: 'mysql', run: 'lambda' }))
    expect([name, dependencies['cqrs-es']]).toEqual(['mysql-lambda', `^${packageJson.version}`])
    expect(starterJson.version).toBe(packageJson.version)
  })

  test.each(choices)('package.json of $store and $run allows the versions that this repository tests', async (choice) => {
    const { dependencies, devDependencies } = await manifestOf(projectOf(choice))
    const { 'cqrs-es': _, ...others } = { ...dependencies, ...devDependencies }
    for (const [name, range] of Object.entries(others)) {
      const { version } = JSON.parse(await readFile(join(root, 'node_modules', name, 'package.json'), 'utf8'))
      expect(isAllowed(version, range), `${name} ${version}, ${range}`).toBe(true)
    }
  })
})

describe('a server that create-cqrs-es has written', () => {
  test.each(those('http'))(
    'a server on $store answers the requests of its README, and continues after a restart',
    async (choice) => {
      const project = projectOf(choice)
      await copyFile(join(project, '.env.example'), join(project, '.env'))
      const { env, close } = await databaseOf(choice)
      try {
        const development = await startServer(project, 'dev', { ...env, PORT: '0' })
        const [placed, found] = await tryReadme(project, development.address)
        await development.stop()
        expect(placed).toMatch(/^\{"sequence":1,.*\}\{"sequence":2,.*\}$/)
        expect(found).toMatch(/^\{"items":\[\{"id":"o-1",.*"status":"paid".*OrderPlaced.*OrderPaid/)

        await runScript(project, 'build')
        const server = await startServer(project, 'start', { ...env, API_TOKEN: 'secret', PORT: '0' })
        const read = (token: string) =>
          fetch(`${server.address}/views/orders/o-1`, { headers: { Authorization: `Bearer ${token}` } })
        expect((await read('change-me')).status).toBe(401)
        expect(await (await read('secret')).json()).toMatchObject({ id: 'o-1', view: { status: 'paid', totalCents: 900 } })
        expect(await server.stop()).toBe(0)
      } finally {
        await close()
      }
    },
  )
})

describe('a function that create-cqrs-es has written', () => {
  test.each(those('lambda'))(
    'a function executes a command on $store after npm run schema has created the tables',
    async (choice) => {
      const project = projectOf(choice)
      await copyFile(join(project, '.env.example'), join(project, '.env'))
      const { env, close } = await databaseOf(choice)
      try {
        expect(await runScript(project, 'schema', env)).toContain('The tables exist.')
        await runScript(project, 'build')
        const event = {
          version: '2.0',
          rawPath: '/order/o-1/PlaceOrder',
          headers: { 'content-type': 'application/json', authorization: 'Bearer secret' },
          body: JSON.stringify({ customer: 'ann@example.com', lines: [{ sku: 'tea', quantity: 2, cents: 450 }] }),
          requestContext: { http: { method: 'POST' } },
        }
        const functionEnv = { ...env, API_TOKEN: 'secret' }
        expect(await callLambda(project, functionEnv, event)).toMatchObject({ statusCode: 200 })
        expect(await callLambda(project, functionEnv, event)).toMatchObject({ statusCode: 422, body: /already-placed/ })
        expect(await callLambda(project, { ...env, API_TOKEN: 'other' }, event)).toMatchObject({ statusCode: 401 })
      } finally {
        await close()
      }
    },
  )
})

describe('create-cqrs-es', () => {
  test('the starter asks for all that the flags leave open, and again after a wrong answer', async () => {
    const { code, output } = await starter.create(['--run', 'lambda'], 'asked\n9\nmysql\n')
    expect(code).toBe(0)
    expect(output).toContain('1. DynamoDB (default)')
    expect(output).toContain("'9' is not one of them. Type a number from 1 to 3.")
    expect(output).not.toContain('SQLite')
    expect(output).toMatch(/Created 13 files in .*\/asked\. Next:\n\n {2}cd asked\n {2}npm install\n/)
    expect(await readFile(join(starter.folder, 'asked/src/store.ts'), 'utf8')).toContain('mysqlStore')
  })

  test('the starter takes the defaults with --yes, also in a new repository of Git', async () => {
    await mkdir(join(starter.folder, 'my-app/.git'), { recursive: true })
    expect(await starter.create(['--yes'])).toMatchObject({ code: 0 })
    const project = join(starter.folder, 'my-app')
    expect(await readFile(join(project, 'src/store.ts'), 'utf8')).toContain('sqliteStore')
    expect(await readFile(join(project, 'README.md'), 'utf8')).toMatch(/^# my-app\n/)
  })

  test.each([
    [['sqlite-http', '--yes'], 'The folder sqlite-http is not empty. Nothing was written.'],
    [['refused', '--yes', '--stor', 'mysql'], "Unknown option '--stor'.\n\nUsage: "],
    [['refused', '--yes', '--store'], 'Usage: '],
    [['refused', '--yes', '--store', 'oracle'], "--store must be sqlite, postgres, mysql or dynamodb, not 'oracle'."],
    [['refused', '--yes', '--run', 'toString'], "--run must be http or lambda, not 'toString'."],
    [['refused', '--yes', '--store', 'sqlite', '--run', 'lambda'], 'SQLite would lose the events. Choose another store'],
    [['refused', 'postgres', '--yes'], 'Only one folder can be given, not refused and postgres.'],
    [['Refused App', '--yes'], "'Refused App' cannot be the name of a package."],
    [['sqlite-http/package.json', '--yes'], 'ENOTDIR'],
    [['refused'], 'A question was not answered. Nothing was written.'],
  ])('the starter refuses %j, and writes nothing', async (args, message) => {
    const before = await readdir(starter.folder)
    const { code, output } = await starter.create(args)
    expect(code).toBe(1)
    expect(output).toContain(message)
    expect(output).not.toContain('    at ')
    expect(await readdir(starter.folder)).toEqual(before)
  })
})

/** The variables of an empty database of the store. */
async function databaseOf({ store }: Choice) {
  const close = async () => {}
  if (store === 'sqlite') return { env: { DATABASE_FILE: 'shop.db' }, close }
  if (store !== 'dynamodb') return { env: { DATABASE_URL: await freshDatabase(store) }, close }
  // Of its own: the tables have the names that they have for users.
  const { url, stop } = await startDynamoDb()
  const credentials = { AWS_REGION: 'eu-central-1', AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' }
  return { env: { ...credentials, AWS_ENDPOINT_URL_DYNAMODB: url, AWS_ENDPOINT_URL_DYNAMODB_STREAMS: url }, close: stop }
}

function nameOf({ store, run }: Choice): string {
  return `${store}-${run}`
}

/** Of ranges such as `^1.2.3` and `^0.2.3`. */
function isAllowed(version: string, range: string): boolean {
  const lowest = range.slice(1)
  const fixed = (text: string) => text.split('.', text.startsWith('0.') ? 2 : 1).join('.')
  const isEnough = version.localeCompare(lowest, 'en', { numeric: true }) >= 0
  return range.startsWith('^') && fixed(version) === fixed(lowest) && isEnough
}
