import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import packageJson from '../../package.json' with { type: 'json' }
import { compilers, type Outcome, root, run } from '../run.ts'
import { freshDatabase } from '../servers/fresh.ts'
import { unselected } from '../servers/stores.ts'
import type { Snippet } from './snippets.ts'

/** What is wrong with a snippet, with its page and lines; an empty text when it compiles and runs. */
export type Verdict = string

/** Writes the snippets as modules inside the repository (so that `cqrs-es` is its source), compiles all at once and runs each. */
export async function checkSnippets(snippets: readonly Snippet[], folder: string): Promise<ReadonlyMap<Snippet, Verdict>> {
  const files = new Map(snippets.map((snippet) => [snippet, join(folder, fileName(snippet))]))
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  for (const [snippet, file] of files) await writeFile(file, snippet.code)
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(settings))
  const compiled = await compile(folder)
  const verdicts = new Map<Snippet, Verdict>()
  for (const [snippet, file] of files) {
    const faults = compiled.filter((line) => line.startsWith(fileName(snippet)))
    verdicts.set(snippet, inPage(faults.join('\n'), snippet, file))
  }
  const elsewhere = compiled.filter((line) => !/^\S+\.L\d+(\.vitest)?\.ts\(/.test(line))
  if (elsewhere.length > 0) throw new Error(`The snippets do not compile\n${elsewhere.join('\n')}`)
  const waiting = [...files].filter(([snippet]) => snippet.run && verdicts.get(snippet) === '')
  await bundle(
    waiting.filter(([snippet]) => !isVitest(snippet)).map(([, file]) => file),
    folder,
  )
  const runWaiting = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [snippet, file] = next
      verdicts.set(snippet, inPage(await runSnippet(snippet, file, folder), snippet, file))
    }
  }
  await Promise.all([runWaiting(), runWaiting()])
  return verdicts
}

const settings = {
  extends: '../../../tsconfig.json',
  compilerOptions: { noUnusedLocals: false, noUnusedParameters: false, moduleDetection: 'force', rootDir: '../../..' },
  include: ['*.ts', '../../runtimes/types.d.ts'],
  exclude: [],
}

/** The compiler's messages, each beginning with the snippet's file name. */
async function compile(folder: string): Promise<readonly string[]> {
  const { code, output } = await run(process.execPath, [compilers['TypeScript 7'], '-p', '.', '--pretty', 'false'], {
    cwd: folder,
  })
  if (code === 0) return []
  return output
    .trim()
    .split(/\n(?!\s)/)
    .filter((line) => line !== '')
}

/** A snippet that shows a test is run by its test runner, any other as a program. What `STORES` leaves out is only compiled. */
async function runSnippet(snippet: Snippet, file: string, folder: string): Promise<Verdict> {
  const servers = serversOf(snippet)
  if (servers.some(unselected)) return ''
  const env = Object.assign({}, ...(await Promise.all(servers.map((server) => variables[server]()))))
  const outcome = isVitest(snippet) ? await runVitest(file) : await runProgram(programOf(file), folder, env)
  return outcome.code === 0 ? '' : `ends with code ${outcome.code}\n${outcome.output}`
}

/** How a snippet finds each server: in a variable that it names, or where the AWS SDK looks by itself. */
const variables = {
  postgres: async () => ({ POSTGRES_URL: await freshDatabase('postgres') }),
  mysql: async () => ({ MYSQL_URL: await freshDatabase('mysql') }),
  dynamodb: async () => ({
    AWS_ENDPOINT_URL_DYNAMODB: await freshDatabase('dynamodb'),
    AWS_REGION: 'local',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  }),
} as const

const signs = {
  postgres: 'process.env.POSTGRES_URL',
  mysql: 'process.env.MYSQL_URL',
  dynamodb: "from '@aws-sdk/client-dynamodb'",
}

const serversOf = ({ code }: Snippet) =>
  (Object.keys(variables) as (keyof typeof variables)[]).filter((server) => code.includes(signs[server]))

function runProgram(file: string, folder: string, env: Readonly<Record<string, string>>): Promise<Outcome> {
  return run(process.execPath, ['--enable-source-maps', file], { cwd: folder, env })
}

/** Each with the source of the package in it: a process starts several times as fast as with a loader of TypeScript. */
async function bundle(files: readonly string[], folder: string): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: [...files],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    packages: 'external',
    alias: Object.fromEntries(aliases),
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'error',
  })
}

const programOf = (file: string) => file.replace(/\.ts$/, '.mjs')

/** What `cqrs-es` and each of its subpaths is in the source. */
const aliases = Object.keys(packageJson.exports)
  .filter((subpath) => subpath !== './package.json')
  .map((subpath) => [packageJson.name + subpath.slice(1), join(root, 'src', subpath, 'index.ts')] as const)
  .reverse()

function runVitest(file: string): Promise<Outcome> {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  return run(process.execPath, [vitest, 'run', '--config', 'test/docs/vitest.config.ts', file], {
    env: { NO_COLOR: '1' },
  })
}

function isVitest({ code }: Snippet): boolean {
  return /from 'vitest'/.test(code)
}

function fileName(snippet: Snippet): string {
  return `${snippet.page.replaceAll('/', '.')}.L${snippet.line}${isVitest(snippet) ? '.vitest' : ''}.ts`
}

/** Names the page instead of the file that was made from it. */
function inPage(verdict: Verdict, { page }: Snippet, file: string): Verdict {
  return verdict
    .replaceAll(`file://${file}`, page)
    .replaceAll(file, page)
    .replaceAll(file.slice(root.length), page)
    .replace(/^\S+\.L\d+(?:\.vitest)?\.ts\((\d+),(\d+)\)/gm, `${page}:$1:$2`)
}
