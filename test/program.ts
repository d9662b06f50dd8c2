import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { root } from './run.ts'

/** Here Node finds the packages that stay outside of a bundle. */
const cache = join(root, 'node_modules/.cache/cqrs-es-programs')

/**
 * A program of this repository as one JavaScript file, with the package's source in it. Tests start many processes of it, and each
 * starts in a third of the time that compiling it would take.
 *
 * @param source - its TypeScript file, absolute
 */
export function bundledProgram(source: string): Promise<string> {
  const known = programs.get(source) ?? bundle(source)
  programs.set(source, known)
  return known
}

const programs = new Map<string, Promise<string>>()

async function bundle(source: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [source],
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    tsconfig: join(root, 'tsconfig.json'),
    logLevel: 'error',
    write: false,
    plugins: [ownAddresses],
  })
  const text = outputFiles[0]?.text as string
  // Named by its content, so that files of an older source are never run.
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 16)
  const file = join(cache, `${basename(source, '.ts')}-${digest}.mjs`)
  const draft = `${file}.${randomUUID()}`
  await mkdir(cache, { recursive: true })
  await writeFile(draft, text)
  await rename(draft, file)
  return file
}

/** Modules look for files beside their source. */
const ownAddresses: Plugin = {
  name: 'own addresses',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)),
      loader: 'ts',
      resolveDir: dirname(path),
    })),
}
