import { copyFileSync, existsSync, readFileSync, statSync } from 'node:fs'
import { root, run } from '../../test/run.ts'

/** A program to start, or the reason why there is none. */
export type Program =
  | { readonly file: string; readonly args: readonly string[]; readonly env?: Readonly<Record<string, string>> }
  | { readonly missing: string }

const folder = `${root}bench/peers`
const minutes = 60_000

/** Installs or builds each peer once, at its first use. */
const made = new Map<string, Promise<string | undefined>>()
function once(what: string, make: () => Promise<string | undefined>): Promise<string | undefined> {
  const done = made.get(what) ?? make()
  made.set(what, done)
  return done
}

/**
 * A peer from npm. The peers have their own package, so that the repository's `npm ci` stays small.
 */
export async function npmPeer(name: string): Promise<Program> {
  const missing = await once('npm', installPackages)
  return missing === undefined ? { file: process.execPath, args: ['--import', 'tsx', `${folder}/${name}.ts`] } : { missing }
}

async function installPackages(): Promise<string | undefined> {
  const installed = `${folder}/node_modules/.package-lock.json`
  const lock = `${folder}/package-lock.json`
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return undefined
  console.log('Installing the peers from npm into bench/peers.')
  const { code, output } = await run('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], {
    cwd: folder,
    timeout: 5 * minutes,
  })
  return code === 0 ? undefined : `npm could not install it: ${lastLine(output)}`
}

/** The peer in Rust, built in release mode. */
export const rustPeer = (): Promise<Program> => cargoPeer('rust', 'release', 'peer')

/** The proxy that is a network, built with the peer in Rust. */
export const rustProxy = (): Promise<Program> => cargoPeer('rust', 'release', 'proxy')

/** The peer in Rust on DynamoDB. Its requests are counted, not timed. */
export const rustPeerOnDynamoDb = (): Promise<Program> => cargoPeer('rust-dynamodb', 'debug', 'costs')

async function cargoPeer(project: string, profile: 'release' | 'debug', program: string): Promise<Program> {
  const file = `${folder}/${project}/target/${profile}/${program}`
  const missing = await once(project, () => cargoBuild(project, profile, file))
  return missing === undefined ? { file, args: [] } : { missing }
}

async function cargoBuild(project: string, profile: 'release' | 'debug', file: string): Promise<string | undefined> {
  if ((await run('cargo', ['--version'])).code !== 0) return 'cargo is not installed'
  if (!existsSync(file)) console.log('Building the peer in Rust, a few minutes the first time.')
  const release = profile === 'release' ? ['--release'] : []
  const args = ['build', ...release, '--manifest-path', `${folder}/${project}/Cargo.toml`]
  const { code, output } = await run('cargo', args, { timeout: 15 * minutes })
  return code === 0 ? undefined : `cargo could not build it: ${lastLine(output)}`
}

/** The peer in Python, with its packages in an environment of its own. */
export async function pythonPeer(): Promise<Program> {
  const here = `${folder}/python`
  const python = `${here}/.venv/bin/python`
  const missing = await once('python', () => installPython(here, python))
  return missing === undefined ? { file: python, args: [`${here}/peer.py`] } : { missing }
}

async function installPython(here: string, python: string): Promise<string | undefined> {
  const [installed, wanted] = [`${here}/.venv/installed.txt`, `${here}/requirements.txt`]
  if (existsSync(installed) && readFileSync(installed).equals(readFileSync(wanted))) return undefined
  console.log('Installing the peer from PyPI into bench/peers/python.')
  const commands = [
    ['python3', '-m', 'venv', '.venv'],
    [python, '-m', 'pip', 'install', '--quiet', '--requirement', wanted],
  ] as const
  for (const [file, ...args] of commands) {
    const { code, output } = await run(file, args, { cwd: here, timeout: 5 * minutes })
    if (code !== 0) return `it could not be installed from PyPI: ${lastLine(output)}`
  }
  copyFileSync(wanted, installed)
  return undefined
}

export const lastLine = (output: string): string => output.trim().split('\n').at(-1) ?? ''
