import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root, run } from '../run.ts'

/** Builds and packs the package. The test files of a run share the tarball, as they share a server. */
export async function startPackage() {
  const folder = await mkdtemp(join(tmpdir(), 'cqrs-es-tarball-'))
  return { url: await packInto(folder), stop: () => rm(folder, { recursive: true, force: true }) }
}

/** Packs the package, or a workspace, as `npm publish` would. @returns the path of the tarball */
export async function packInto(folder: string, workspace?: string): Promise<string> {
  await npm(['pack', '--pack-destination', folder, ...(workspace === undefined ? [] : ['--workspace', workspace])], root)
  const [name, ...others] = (await readdir(folder)).filter((file) => file.endsWith('.tgz'))
  if (name === undefined || others.length > 0) throw new Error(`npm pack made ${others.length + 1} tarballs in ${folder}`)
  return join(folder, name)
}

/** Unpacks a tarball into the folder, as `package`. */
export async function unpack(tarball: string, folder: string): Promise<string> {
  const { code, output } = await run('tar', ['-xzf', tarball], { cwd: folder })
  if (code !== 0) throw new Error(output)
  return join(folder, 'package')
}

export async function npm(args: readonly string[], cwd: string): Promise<void> {
  const { code, output } = await run('npm', args, { cwd })
  if (code !== 0) throw new Error(`npm ${args.join(' ')} failed\n${output}`)
}
