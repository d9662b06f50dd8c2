import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { areas } from '../test/mutations/areas.ts'
import type { Mutation, On } from '../test/mutations/mutation.ts'
import { parityPage, parityRows, testsIn } from '../test/mutations/page.ts'
import { broken, parity } from '../test/mutations/parity.ts'
import type { Server } from '../test/servers/child.ts'
import { startDynamoDb } from '../test/servers/dynamodb.ts'
import { startMariaDb } from '../test/servers/mariadb.ts'
import { startPostgres } from '../test/servers/postgres.ts'

/**
 * Breaks the source in one place at a time, in a copy of the working tree, and sees whether the named test fails.
 *
 *   npm run mutate                          all mutations
 *   npm run mutate -- 42 'first lease'      rows of the parity page, or parts of what is broken
 *   npm run mutate -- --area execution      one area
 *   npm run mutate -- --check               only whether the table fits the source: runs no test
 *   npm run mutate -- --write               writes what breaks each row into docs/reference/rust-parity.md
 *   npm run mutate -- --resume              leaves out what was killed already and has not changed since
 */
const root = fileURLToPath(new URL('..', import.meta.url))
const memoryFile = `${root}node_modules/.cache/cqrs-es-mutate.json`
const timeoutMs = 180_000
/** A test of which something is broken waits no longer for what may never come. */
const patienceMs = 45_000

interface Planned extends Mutation {
  readonly id: string
  readonly area: string
}

type Fate = 'killed' | 'survived' | 'no test' | 'does not run' | 'timed out' | 'not green before'

interface Result {
  readonly fate: Fate
  /** What the test said, or why there is nothing to say. */
  readonly said: string
}

const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    area: { type: 'string', multiple: true },
    check: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    resume: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
})

const rows = new Map(parityRows().map((row) => [row.row, row]))
const all: readonly Planned[] = [
  ...parity.map(({ row, nth = 0, ...mutation }) => ({
    ...mutation,
    test: rows.get(row)?.tests[nth] ?? '',
    area: 'parity',
    id: String(row),
  })),
  ...Object.entries(areas).flatMap(([area, mutations]) =>
    mutations.map((mutation, i) => ({ ...mutation, area, id: `${area}-${i + 1}` })),
  ),
]

const chosen = all.filter(
  ({ id, area, breaks }) =>
    (options.area === undefined || options.area.includes(area)) &&
    (wanted.length === 0 || wanted.some((text) => text === id || (!/^\d+$/.test(text) && breaks.includes(text)))),
)

function titleOf({ id, breaks }: Planned): string {
  return `${id} (${breaks})`
}

/** Why a mutation cannot be applied, or its test not be found. */
function problemsOf({ file, find, put, test }: Planned): readonly string[] {
  if (!existsSync(join(root, file))) return [`there is no file ${file}.`]
  const count = readFileSync(join(root, file), 'utf8').split(find).length - 1
  const [testFile = '', title] = test.split(' › ')
  const isThere = existsSync(join(root, testFile)) && title !== undefined && testsIn(testFile).includes(title)
  return [
    ...(count === 1 ? [] : [`its text occurs ${count} times in ${file}: ${JSON.stringify(find)}`]),
    ...(find === put ? ['it changes nothing.'] : []),
    ...(isThere ? [] : [`there is no test '${test}'.`]),
  ]
}

async function run(mutations: readonly Planned[]): Promise<void> {
  const known = options.resume ? remembered() : new Map<string, Result>()
  const copy = copied()
  const servers = new Map<On, Promise<Server>>()
  try {
    const results = new Map<Planned, Result>()
    const left = mutations.filter((mutation) => {
      const before = known.get(keyOf(mutation))
      if (before?.fate === 'killed' || (before && mutation.survives)) results.set(mutation, before)
      return !results.has(mutation)
    })
    const green = await greenBefore(copy, left, servers)
    for (const [i, mutation] of left.entries()) {
      const result: Result = green.get(mutation) ?? (await mutated(copy, mutation, servers))
      results.set(mutation, result)
      remember(mutation, result)
      console.log(`${i + 1}/${left.length} ${result.fate.padEnd(12)} ${titleOf(mutation)}`)
      if (result.fate !== 'killed') console.log(`    ${result.said}`)
    }
    report(results)
  } finally {
    rmSync(copy, { recursive: true, force: true })
    await Promise.all([...servers.values()].map(async (server) => (await server).stop()))
  }
}

function report(results: ReadonlyMap<Planned, Result>): void {
  const byArea = new Map<string, { killed: number; explained: number; open: string[] }>()
  for (const [mutation, { fate }] of results) {
    const area = byArea.get(mutation.area) ?? { killed: 0, explained: 0, open: [] }
    byArea.set(mutation.area, area)
    if (fate === 'killed') area.killed++
    else if (fate === 'survived' && mutation.survives !== undefined) area.explained++
    else area.open.push(`${fate}: ${titleOf(mutation)}`)
  }
  console.log('\n| area | killed | survived with a reason | open |\n| --- | --- | --- | --- |')
  for (const [area, { killed, explained, open }] of byArea) console.log(`| ${area} | ${killed} | ${explained} | ${open.length} |`)
  const open = [...byArea.values()].flatMap((area) => area.open)
  for (const one of open) console.log(one)
  const stale = [...results].filter(([mutation, { fate }]) => fate === 'killed' && mutation.survives !== undefined)
  for (const [mutation] of stale) console.log(`has a reason to survive, but is killed: ${titleOf(mutation)}`)
  if (open.length + stale.length > 0) process.exitCode = 1
}

/** The working tree in a folder of its own, with the same packages. */
function copied(): string {
  const copy = mkdtempSync(join(tmpdir(), 'cqrs-es-mutate-'))
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: root, encoding: 'utf8' })
  for (const file of new Set(listed.split('\0'))) {
    if (file === '' || !existsSync(join(root, file))) continue
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    cpSync(join(root, file), join(copy, file))
  }
  for (const folder of ['', 'test/runtimes/', 'test/servers/', 'examples/serverless-bank/'])
    if (existsSync(`${root}${folder}node_modules`)) symlinkSync(`${root}${folder}node_modules`, `${copy}/${folder}node_modules`)
  for (const on of Object.keys(databases) as On[]) writeFileSync(join(copy, conformanceOn(on)), conformance)
  return copy
}

const conformanceOn = (on: On): string => `test/conformance/${on}-alone.test.ts`

/** The suite on one store only: the test files of some start several servers. */
const conformance = `
import { describe } from 'vitest'
import { hostConformance } from './host.ts'
import { databases } from './hosts.ts'
const database = databases.find(({ name }) => name.startsWith(process.env.MUTATE_ON))
describe('the suite', async () => void (await hostConformance(database.host)))
`

/** Runs each test once without a mutation; those that are not there or not green get their result here. */
async function greenBefore(
  copy: string,
  mutations: readonly Planned[],
  servers: Map<On, Promise<Server>>,
): Promise<ReadonlyMap<Planned, Result>> {
  const bad = new Map<Planned, Result>()
  const byRun = new Map<string, Planned[]>()
  for (const mutation of mutations) {
    const run = `${fileOf(mutation)} ${onOf(mutation)}`
    byRun.set(run, [...(byRun.get(run) ?? []), mutation])
  }
  for (const group of byRun.values()) {
    const first = group[0] as Planned
    const patterns = [...new Set(group.map(patternOf))]
    const outcome = await vitest(copy, first, patterns.join('|'), servers)
    for (const mutation of group) {
      const tests = outcome.tests.filter(({ name }) => new RegExp(patternOf(mutation)).test(name))
      const failed = tests.find(({ status }) => status === 'failed')
      if (tests.every(({ status }) => status !== 'passed') || failed !== undefined)
        bad.set(mutation, {
          fate: 'not green before',
          said: failed?.said ?? outcome.trouble ?? `no test is called ${mutation.test}`,
        })
    }
  }
  return bad
}

async function mutated(copy: string, mutation: Planned, servers: Map<On, Promise<Server>>): Promise<Result> {
  const file = join(copy, mutation.file)
  const before = readFileSync(file, 'utf8')
  writeFileSync(
    file,
    before.replace(mutation.find, () => mutation.put),
  )
  try {
    const { tests, trouble } = await vitest(copy, mutation, patternOf(mutation), servers)
    const failed = tests.filter(({ status }) => status === 'failed')
    const [first] = failed
    if (first === undefined) {
      if (trouble === timedOut) return { fate: mutation.hangs ? 'killed' : 'timed out', said: trouble }
      if (trouble !== undefined) return { fate: 'does not run', said: trouble }
      return tests.some(({ status }) => status === 'passed')
        ? { fate: 'survived', said: mutation.survives ?? `${mutation.test} passes` }
        : { fate: 'no test', said: mutation.test }
    }
    const real = failed.find(({ said }) => !isTimeout(said) && !isNonsense(said))
    if (real !== undefined) return { fate: 'killed', said: real.said }
    if (!isTimeout(first.said)) return { fate: 'does not run', said: first.said }
    return { fate: mutation.hangs ? 'killed' : 'timed out', said: first.said }
  } finally {
    writeFileSync(file, before)
  }
}

const timedOut = `vitest did not end within ${timeoutMs} ms`

const isTimeout = (said: string): boolean => /^(Error: )?(Test|Hook) timed out in/.test(said)

/** The mutated text is no program, or no statement: it says nothing about what the test checks. */
const isNonsense = (said: string): boolean =>
  /^(SyntaxError|ReferenceError)|is not defined\b|Transform failed|syntax error at or near|cannot create|error in your SQL syntax|near ".*": syntax error|no such column/.test(
    said,
  )

interface Outcome {
  readonly tests: readonly { readonly name: string; readonly status: string; readonly said: string }[]
  /** Why there are no tests. */
  readonly trouble?: string
}

/** One run of vitest on one file. */
async function vitest(copy: string, mutation: Planned, pattern: string, servers: Map<On, Promise<Server>>): Promise<Outcome> {
  const output = join(copy, 'outcome.json')
  rmSync(output, { force: true })
  const on = onOf(mutation)
  const env = {
    ...process.env,
    MUTATE_ON: databases[on],
    NO_COLOR: '1',
    TEST_PATIENCE_MS: `${patienceMs}`,
    ...(await addressOf(on, servers)),
  }
  const args = [
    `${root}node_modules/vitest/vitest.mjs`,
    'run',
    '--project',
    '!without *',
    fileOf(mutation),
    '-t',
    pattern,
    '--reporter=json',
    `--outputFile=${output}`,
  ]
  const child = spawn(process.execPath, args, { cwd: copy, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (text += data))
  let isLate = false
  const limit = setTimeout(() => {
    isLate = true
    process.kill(-(child.pid as number), 'SIGKILL')
  }, timeoutMs)
  await new Promise((resolve) => child.once('close', resolve))
  clearTimeout(limit)
  if (isLate) return { tests: [], trouble: timedOut }
  if (!existsSync(output)) return { tests: [], trouble: text.slice(-2_000) }
  const { testResults } = JSON.parse(readFileSync(output, 'utf8')) as {
    testResults: { message: string; assertionResults: { fullName: string; status: string; failureMessages: string[] }[] }[]
  }
  const tests = testResults.flatMap(({ assertionResults }) =>
    assertionResults.map(({ fullName, status, failureMessages }) => ({
      name: fullName,
      status,
      said: firstLines(failureMessages[0] ?? ''),
    })),
  )
  const trouble = testResults.map(({ message }) => message).find((message) => message !== '')
  return tests.length > 0 || trouble === undefined ? { tests } : { tests, trouble: firstLines(trouble) }
}

const firstLines = (text: string): string => text.split('\n').slice(0, 3).join(' ').slice(0, 400)

const start = {
  postgres: { variable: 'TEST_POSTGRES_URL', server: startPostgres },
  mysql: { variable: 'TEST_MARIADB_URL', server: startMariaDb },
  dynamodb: { variable: 'TEST_DYNAMODB_ENDPOINT', server: startDynamoDb },
} as const

/** One server for all mutations that need it. */
async function addressOf(on: On, servers: Map<On, Promise<Server>>): Promise<Record<string, string>> {
  if (on === 'memory' || on === 'sqlite') return {}
  const { variable, server } = start[on]
  const given = process.env[variable]
  // Tests of several stores are run on this one alone.
  const STORES = on === 'mysql' ? 'mariadb' : on
  if (given) return { [variable]: given, STORES }
  const running = servers.get(on) ?? server()
  servers.set(on, running)
  return { [variable]: (await running).url, STORES }
}

/** What the tests call the databases. */
const databases: Readonly<Record<On, string>> = {
  memory: 'memory',
  sqlite: 'SQLite',
  postgres: 'Postgres',
  mysql: 'MariaDB',
  dynamodb: 'DynamoDB',
}

/** Where a test is run. */
function onOf({ on, test }: Planned): On {
  return on ?? (/test\/stores\/(sqlite|postgres|mysql|dynamodb)/.exec(test)?.[1] as On | undefined) ?? 'memory'
}

function fileOf(mutation: Planned): string {
  const [file = ''] = mutation.test.split(' › ')
  if (!file.startsWith('src/conformance/')) return file
  return onOf(mutation) === 'memory' ? 'test/conformance/memory.test.ts' : conformanceOn(onOf(mutation))
}

/** What the full name of the test matches, with anything in the place of what its title leaves open. */
function patternOf(mutation: Planned): string {
  const [file = '', title = ''] = mutation.test.split(' › ')
  const open = /%[sdifjoOc#]|\$\{[^}]*\}|\$[\w.]+/
  const text = title.split(open).map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
  const within = mutation.on !== undefined && file.includes('on-a-database') ? `on '?${databases[mutation.on]}.* ` : ''
  return `(^| )${within}${text.join('.*')}$`
}

/** Changes when the mutation or a file that it is about does. */
function keyOf(mutation: Planned): string {
  const { file, find, put, test } = mutation
  const text = [file, test.split(' › ')[0] ?? ''].map((name) => readFileSync(join(root, name), 'utf8'))
  return createHash('sha256')
    .update(JSON.stringify([file, find, put, test, onOf(mutation), text]))
    .digest('hex')
}

function remembered(): Map<string, Result> {
  return existsSync(memoryFile) ? new Map(JSON.parse(readFileSync(memoryFile, 'utf8'))) : new Map()
}

function remember(mutation: Planned, result: Result): void {
  mkdirSync(dirname(memoryFile), { recursive: true })
  writeFileSync(memoryFile, JSON.stringify([...remembered().set(keyOf(mutation), result)]))
}

/** Puts what breaks each row into the last column of the page. */
function writePage(): void {
  const lines = readFileSync(parityPage, 'utf8').split('\n')
  const written = lines.map((line) => {
    const [row] = parityRows(line)
    return row === undefined ? line : `| ${row.row} | ${row.feature} | ${row.tests.join('<br>')} | ${broken(row.row)} |`
  })
  writeFileSync(parityPage, written.join('\n'))
}

if (options.write) {
  writePage()
} else if (options.list) {
  for (const { id, breaks, file, test } of chosen) console.log(`${id}\t${breaks}\t${file}\t${test}`)
} else {
  const problems = all.flatMap((mutation) => problemsOf(mutation).map((problem) => `${titleOf(mutation)}: ${problem}`))
  for (const problem of problems) console.error(problem)
  console.log(`${all.length} mutations in the table, ${problems.length} problems.`)
  if (problems.length > 0) process.exitCode = 1
  if (!options.check && problems.length === 0) await run(chosen)
}
