import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type FunctionName, functionNames } from './settings.ts'

/** An uploaded function: one file, `index.mjs`, in its own folder. */
export interface Bundle {
  readonly folder: string
  readonly file: string
  /** Its source files, and the packages that Lambda provides. */
  readonly inputs: readonly string[]
  readonly imports: readonly string[]
}

/**
 * Bundles all functions, without the AWS SDK: Lambda's runtime for Node has it. `source` is the
 * folder of their files, as seen from this one.
 */
export async function bundleFunctions(folder: string, source = 'functions'): Promise<Readonly<Record<FunctionName, Bundle>>> {
  const bundles = functionNames.map(async (name) => [name, await bundle(`${source}/${name}.ts`, join(folder, name))] as const)
  return Object.fromEntries(await Promise.all(bundles)) as Record<FunctionName, Bundle>
}

/** `entry` is a path in this folder. */
export async function bundle(entry: string, folder: string): Promise<Bundle> {
  const file = join(folder, 'index.mjs')
  const { metafile } = await build({
    absWorkingDir: fileURLToPath(new URL('.', import.meta.url)),
    entryPoints: [entry],
    outfile: file,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    external: ['@aws-sdk/*'],
    // Here `cqrs-es` is its source. With the package from npm, remove this line.
    tsconfig: '../../tsconfig.json',
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  })
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path))
  return { folder, file, inputs: Object.keys(metafile.inputs), imports: [...new Set(imports)] }
}
