import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Outcome, root, run } from '../run.ts'
import { endProgram, startProgram } from '../servers/child.ts'
import { packedPackage } from './pack.ts'
import { packInto, unpack } from './tarball.ts'

export interface Choice {
  readonly store: 'sqlite' | 'postgres' | 'mysql' | 'dynamodb'
  readonly run: 'http' | 'lambda'
}

/** The starter as `npm create cqrs-es` runs it, and a folder for its projects. */
export interface Starter {
  /** Empty at first, and removed by `close`. */
  readonly folder: string
  /** Runs the starter in the folder, with these lines as its input. */
  create(args: readonly string[], input?: string): Promise<Outcome>
  /** Creates a project, and links the packages that its package.json names. */
  project(choice: Choice): Promise<string>
  close(): Promise<void>
}

export async function packStarter(): Promise<Starter> {
  const temporary = await mkdtemp(join(tmpdir(), 'cqrs-es-starter-'))
  const folder = join(temporary, 'projects')
  await mkdir(folder)
  const packed = await packedPackage()
  const program = join(await unpack(await packInto(temporary, 'create'), temporary), 'index.js')
  const create: Starter['create'] = (args, input = '') => run(process.execPath, [program, ...args], { cwd: folder, input })
  return {
    folder,
    create,
    project: async ({ store, run }) => {
      const name = `${store}-${run}`
      const { code, output } = await create([name, '--store', store, '--run', run, '--yes'])
      if (code !== 0) throw new Error(output)
      await link(join(folder, name), packed.content)
      return join(folder, name)
    },
    close: async () => {
      await rm(temporary, { recursive: true, force: true })
      await rm(packed.folder, { recursive: true, force: true })
    },
  }
}

export interface Manifest {
  readonly name: string
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

export const manifestOf = async (project: string): Promise<Manifest> =>
  JSON.parse(await readFile(join(project, 'package.json'), 'utf8'))

/** What `npm install` would do: nothing else is found, so a package that is not listed is an error. */
async function link(project: string, content: string): Promise<void> {
  const { dependencies, devDependencies } = await manifestOf(project)
  for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
    const place = join(project, 'node_modules', name)
    await mkdir(dirname(place), { recursive: true })
    await symlink(name === 'cqrs-es' ? content : join(root, 'node_modules', name), place)
  }
}

/** The environment of a terminal in a project: the tests' own variables would reach its Vitest. */
export const terminal = (env: Readonly<Record<string, string>> = {}): Record<string, string | undefined> => ({
  ...Object.fromEntries(
    Object.keys(process.env).flatMap((name) => (/^(VITEST|NODE_ENV|TEST)/.test(name) ? [[name, undefined]] : [])),
  ),
  NO_COLOR: '1',
  PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}`,
  ...env,
})

/** Runs a script of the project's package.json. @throws Error with its output */
export async function runScript(project: string, script: string, env?: Readonly<Record<string, string>>): Promise<string> {
  const { code, output } = await run('npm', ['run', script], { cwd: project, env: terminal(env) })
  if (code !== 0) throw new Error(`npm run ${script} failed\n${output}`)
  return output
}

/** Starts a server by a script of package.json, and waits until it is open. */
export async function startServer(project: string, script: string, env: Readonly<Record<string, string>>) {
  const { scripts } = await manifestOf(project)
  let address: string | undefined
  // Without npm and the shell in between, signals reach the program itself.
  const child = await startProgram('sh', ['-c', `exec ${scripts[script]}`], { cwd: project, env: terminal(env) }, (output) => {
    // A watcher stays when the program has failed.
    if (/^\w*Error: /m.test(output)) throw new Error(output)
    address = /open at (http:\S+)/.exec(output)?.[1]
    return address !== undefined
  })
  return {
    address: address ?? '',
    /** @returns the exit code */
    stop: async () => {
      await endProgram(child, 'SIGTERM')
      return child.exitCode
    },
  }
}

/** The answers to the `curl` commands of README, fence by fence. */
export async function tryReadme(project: string, address: string): Promise<readonly string[]> {
  const readme = await readFile(join(project, 'README.md'), 'utf8')
  const answers: string[] = []
  for (const [, commands = ''] of readme.matchAll(/^```sh\n(curl [\s\S]*?)^```$/gm)) {
    const { output } = await run('sh', ['-ec', commands.replaceAll('localhost:3000', new URL(address).host)])
    answers.push(output)
  }
  return answers
}

/** Calls the function of a bundle with an event, alone in a folder, as it is on Lambda. */
export async function callLambda(project: string, env: Readonly<Record<string, string>>, event: object): Promise<unknown> {
  const folder = await mkdtemp(join(tmpdir(), 'cqrs-es-lambda-'))
  await copyFile(join(project, 'dist/lambda.cjs'), join(folder, 'lambda.cjs'))
  const program = `require('./lambda.cjs').handler(${JSON.stringify(event)}).then((answer) => {
    console.log(JSON.stringify(answer))
    process.exit()
  })`
  const { code, output } = await run(process.execPath, ['--eval', program], {
    cwd: folder,
    env: terminal({ NODE_NO_WARNINGS: '1', ...env }),
  })
  await rm(folder, { recursive: true })
  if (code !== 0) throw new Error(output)
  return JSON.parse(output)
}

/** Compiles several projects at once: their settings are the same, and they share the types of their packages. */
export async function compileTogether(projects: readonly string[], compiler: string): Promise<string> {
  const [first = ''] = projects
  await writeFile(join(first, 'all.json'), JSON.stringify({ extends: './tsconfig.json', include: ['../*-*/src'] }))
  const { output } = await run(process.execPath, [compiler, '-p', 'all.json', '--pretty', 'false'], { cwd: first })
  return output
}
