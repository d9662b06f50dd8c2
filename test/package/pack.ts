import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serverUrl } from '../servers/ask.ts'
import { npm, unpack } from './tarball.ts'

export interface Packed {
  /** Temporary; holds everything else. */
  readonly folder: string
  readonly tarball: string
  /** The tarball's content, unpacked. */
  readonly content: string
  /** Paths inside the package. */
  readonly files: readonly string[]
  readonly manifest: Manifest
}

export interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly scripts?: Readonly<Record<string, string>>
  readonly [dependencies: `${string}ependencies`]: Readonly<Record<string, string>> | undefined
}

/** The package as `npm publish` would send it, unpacked. The first test file that asks has it packed for all. */
export async function packedPackage(): Promise<Packed> {
  const tarball = await serverUrl('package')
  const folder = await mkdtemp(join(tmpdir(), 'cqrs-es-package-'))
  const content = await unpack(tarball, folder)
  const entries = await readdir(content, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(content.length + 1))
  const manifest = JSON.parse(await readFile(join(content, 'package.json'), 'utf8')) as Manifest
  return { folder, tarball, content, files: files.sort(), manifest }
}

/** A project that has only the tarball installed. */
export async function install({ folder, tarball, manifest }: Packed): Promise<string> {
  const project = join(folder, 'project')
  await mkdir(project)
  await writeFile(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  await npm(['install', '--ignore-scripts', '--no-audit', '--no-fund', '--offline', tarball], project)
  const installed = await readdir(join(project, 'node_modules'))
  const packages = installed.filter((entry) => !entry.startsWith('.'))
  if (packages.join() !== manifest.name) throw new Error(`Installed more than the package: ${packages.join(', ')}`)
  return project
}

/** What a program imports for each subpath that exports code: `cqrs-es`, `cqrs-es/memory` and so on. */
export function specifiersOf({ name, exports }: Manifest): readonly string[] {
  const subpaths = Object.keys(exports).filter((subpath) => subpath !== './package.json')
  return subpaths.map((subpath) => name + subpath.slice(1))
}
