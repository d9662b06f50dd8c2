import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bundledProgram } from '../../test/program.ts'
import { freshDatabase } from '../../test/servers/fresh.ts'
import { unselected } from '../../test/servers/stores.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

const programs = {
  'demo.ts': await bundledProgram(join(root, 'examples/bank-account/demo.ts')),
  'server.ts': await bundledProgram(join(root, 'examples/bank-account/server.ts')),
}

let folder: string
let file: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bank-'))
  file = join(folder, 'data', 'bank.db')
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('npm run demo', () => {
  it('the demo tells its story, and a second run continues from the balance of the first', async () => {
    const first = await run('demo.ts')
    expect(first).toMatchObject({ code: 0, err: '' })
    expect(first.out).toContain('✓ AccountOpened   owner ann  (event 1)')
    expect(first.out).toContain('✓ CashWithdrawn   atmId ATM-1, amount 200, balance 800  (event 3)')
    expect(first.out).toContain('✗ refused         insufficient-funds: balance 200, missing 1,000  (HTTP 422)')
    expect(first.out).toContain('✗ refused         atm-refused: atmId ATM-7, because it is out of order  (HTTP 422)')
    expect(first.out).toContain('(event 5 as before, nothing new)')
    expect(first.out).toMatch(/✗ too late .*expected sequence 4, but it is at 5\. {2}\(HTTP 412\)/)
    expect(first.out).toContain('✓ completed       acct-1 has 195  (transfer)')
    expect(first.out).toMatch(/^ {2}balance {3}195$/m)
    expect(first.out).toMatch(/check 1170 +-600 +200$/m)
    expect(first.out).toMatch(/^ {6}5 {3}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} {3}MoneyDeposited {3}amount 25, balance 225$/m)
    expect(first.out).toContain('uri /account/acct-1/DepositMoney, userAgent node')
    expect(first.out).toContain('correlationId transfer/ann-5/1, causationId transfer/ann-5/1, process transfers/ann-5')
    expect(first.out).toMatch(/^ {2}deposited 1,026, withdrawn 800, transferred 30, movements 6$/m)
    expect(first.out).toMatch(/^ {2}11 events, done\n {2}The balance was 195 and is 195\.$/m)
    expect(first.out).toMatch(/^The API, described {2}http:\/\/127\.0\.0\.1:\d+\/docs\n {2}Bank account: 19 operations/m)
    expect(first.out).toContain(file)
    expect(existsSync(file)).toBe(true)

    const second = await run('demo.ts')
    expect(second).toMatchObject({ code: 0, err: '' })
    expect(second.out).toContain("An earlier run left ann's account with a balance of 195 after 6 events.")
    expect(second.out).not.toContain('OpenAccount')
    expect(second.out).toContain('✓ MoneyDeposited  amount 1,000, balance 1,195  (event 7)')
    expect(second.out).toMatch(/^ {2}balance {3}390$/m)
    expect(second.out).toMatch(/^ {2}checks {4}1170, 1171$/m)
  })

  it.skipIf(process.platform !== 'linux' || spawnSync('script', ['--version']).error)(
    'the demo prints colours on a terminal unless NO_COLOR is set',
    () => {
      const onTerminal = (env: Record<string, string>) =>
        execFileSync('script', ['-qec', `'${process.execPath}' '${programs['demo.ts']}'`, '/dev/null'], {
          cwd: root,
          env: {
            ...process.env,
            TERM: 'xterm',
            CI: undefined,
            NO_COLOR: undefined,
            FORCE_COLOR: undefined,
            BANK_FILE: file,
            ...env,
          },
          encoding: 'utf8',
        })
      expect(onTerminal({})).toContain('\u001b[32m✓')
      expect(onTerminal({ NO_COLOR: '1' })).not.toContain('\u001b[3')
    },
  )

  it('the demo prints no colours into a pipe', async () => {
    const { out } = await run('demo.ts', { TERM: 'xterm' })
    expect(out).toContain('A bank account')
    expect(out).not.toContain('\u001b')
  })

  it.skipIf(unselected('postgres'))('the demo starts and stops its own Postgres with STORE=postgres', async () => {
    const { code, out, err } = await run('demo.ts', { STORE: 'postgres', POSTGRES_URL: '' })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(
      /^ {2}Store {3}postgres at 127\.0\.0\.1:\d+ \(private, gone when this ends; POSTGRES_URL names another\)$/m,
    )
    expect(out).toMatch(/^ {2}balance {3}195$/m)
    const [, port] = /127\.0\.0\.1:(\d+) \(private/.exec(out) ?? []
    await expect(fetch(`http://127.0.0.1:${port}`)).rejects.toThrow('fetch failed')
  })

  it.each([
    ['postgres', 'POSTGRES_URL'],
    ['mysql', 'MYSQL_URL'],
    ['dynamodb', 'DYNAMODB_ENDPOINT'],
  ] as const)('a second run continues from the balance of the first on %s', async (store, variable) => {
    if (unselected(store)) return
    // The AWS SDK warns about older versions of Node.
    const env = { STORE: store, [variable]: await freshDatabase(store), NODE_NO_WARNINGS: '1' }
    const first = await run('demo.ts', env)
    expect(first).toMatchObject({ code: 0, err: '' })
    expect(first.out).toMatch(/^ {2}balance {3}195$/m)
    const second = await run('demo.ts', env)
    expect(second).toMatchObject({ code: 0, err: '' })
    expect(second.out).toContain("An earlier run left ann's account with a balance of 195 after 6 events.")
    expect(second.out).toMatch(/^ {2}balance {3}390$/m)
    expect(second.out).toContain(`STORE=${store} ${variable}=${env[variable]} npm start`)
  })

  it('an unknown STORE fails and lists the stores', async () => {
    const { code, err } = await run('demo.ts', { STORE: 'oracle' })
    expect(code).toBe(1)
    expect(err).toContain("STORE must be one of sqlite, postgres, mysql, dynamodb, not 'oracle'.")
  })

  it('the printed SQL works', async () => {
    const { out } = await run('demo.ts')
    const [, sql = ''] = /sqlite3 \S+ '(SELECT .+)'$/m.exec(out) ?? []
    const { default: Database } = await import('libsql')
    const db = new Database(file)
    expect(db.prepare(sql).all()).toHaveLength(11)
    db.close()
  })

  it('a file that is not a database fails with 1, a message and no stack trace', async () => {
    file = join(folder, 'letter.txt')
    writeFileSync(file, 'Dear bank, '.repeat(1_000))
    const { code, err } = await run('demo.ts')
    expect(code).toBe(1)
    expect(err).toContain('not a SQLite database')
    expect(err).not.toMatch(/^\s+at /m)
  })
})

describe('npm start', () => {
  let child: ChildProcess | undefined
  afterEach(() => child?.kill('SIGKILL'))

  it('the printed curl lines do what their comments promise', async () => {
    const { curls } = await start()
    const answers = []
    for (const line of curls) answers.push(await fetchLike(line))
    expect(
      answers.map(({ status, body }) => [
        status,
        body.sequence ?? body.reason ?? body.code ?? body.view?.sequence ?? body.items?.length,
      ]),
    ).toEqual([
      [200, 1],
      [200, 2],
      [200, 3],
      [422, 'insufficient-funds'],
      [422, 'atm-refused'],
      [200, 4],
      [200, 4],
      [412, 'CONFLICT'],
      [200, 4],
      [200, 4],
      [200, 4],
      [200, 1],
    ])
    expect([answers[5]?.body.replayed, answers[6]?.body.replayed]).toEqual([false, true])
    expect(answers[8]?.body.state).toMatchObject({ open: true, balance: 175 })
    expect(answers[10]?.body.view).toMatchObject({ owner: 'bob', balance: 175 })
    expect(answers[11]?.body.items).toEqual([answers[10]?.body])
  })

  it.skipIf(process.platform === 'win32' || spawnSync('curl', ['--version']).error)(
    'the printed lines work in a real shell with curl',
    async () => {
      const { curls } = await start()
      const answers = curls.map((line) => JSON.parse(execFileSync('sh', ['-c', `${line} -s`], { encoding: 'utf8' })))
      expect(answers.map(({ status = 200 }) => status)).toEqual([200, 200, 200, 422, 422, 200, 200, 412, 200, 200, 200, 200])
      expect(answers[8].state.balance).toBe(175)
    },
  )

  it('the server prints the address of its page', async () => {
    const { output } = await start()
    const [, docs = ''] = /^The API, described: (http:\S+\/docs)$/m.exec(output().out) ?? []
    const response = await fetch(docs)
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('/docs/swagger-ui-bundle.js')])
  })

  it.skipIf(process.platform === 'win32').each(['SIGINT', 'SIGTERM'] as const)(
    'the server closes on %s and exits with 0',
    async (signal) => {
      const { curls, exited, output } = await start()
      await fetchLike(curls[0] ?? '')
      child?.kill(signal)
      expect(await exited).toEqual([0, null])
      expect(output().out).toContain('The bank is closed.')
      expect(output().err).toBe('')
      expect([existsSync(file), existsSync(`${file}-wal`)]).toEqual([true, false])
    },
  )

  it('a port in use fails with 1, a message and no stack trace', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const { code, err } = await run('server.ts', { PORT: `${port}` })
    other.close()
    expect(code).toBe(1)
    expect(err).toContain(`address already in use 127.0.0.1:${port}`)
    expect(err).not.toMatch(/^\s+at /m)
  })

  it.each(['http', '70000'])('the invalid port %s fails with a message', async (PORT) => {
    const { code, err } = await run('server.ts', { PORT })
    expect(code).toBe(1)
    expect(err).toContain('The bank cannot open')
    expect(err).not.toMatch(/^\s+at /m)
  })

  /** Starts the server on a free port and waits until it has printed everything. */
  async function start() {
    child = launch('server.ts', { PORT: '0' })
    const output = collect(child)
    const exited = once(child, 'close')
    while (!output().out.includes('accounts?owner=bob')) {
      await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), exited])
      if (child.exitCode !== null) throw new Error(output().err)
    }
    const curls = output()
      .out.split('\n')
      .map((line) => line.trim())
      .filter((line) => line.startsWith('curl '))
    return { curls, exited, output }
  }
})

/** Sends the request of a `curl` line. */
async function fetchLike(line: string) {
  const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '')
  const after = (flag: string) => words.flatMap((word, i) => (word === flag ? [words[i + 1] ?? ''] : []))
  const headers = after('-H').map((header) => header.split(': ') as [string, string])
  const [body] = after('-d')
  const response = await fetch(words[1] ?? '', { headers, ...(body === undefined ? {} : { method: 'POST', body }) })
  return { status: response.status, body: await response.json() }
}

async function run(script: keyof typeof programs, env: Record<string, string> = {}) {
  const child = launch(script, env)
  const output = collect(child)
  const [code] = await once(child, 'close')
  return { code: code as number, ...output() }
}

/** One process, unlike the command `tsx`, so that killing it leaves none. */
function launch(script: keyof typeof programs, env: Record<string, string>): ChildProcess {
  return spawn(process.execPath, [programs[script]], { cwd: root, env: { ...process.env, BANK_FILE: file, ...env } })
}

function collect(child: ChildProcess) {
  const texts = { out: '', err: '' }
  child.stdout?.setEncoding('utf8').on('data', (text) => (texts.out += text))
  child.stderr?.setEncoding('utf8').on('data', (text) => (texts.err += text))
  return () => texts
}
