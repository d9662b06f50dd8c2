import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type FunctionName, functionNames } from './settings.ts'

/** A function as it is uploaded: one file, `index.mjs`, in a folder of its own. */
export interface Bundle {
  readonly folder: string
  readonly file: string
  /** The files that went into it, and the packages that Lambda brings. */
  readonly inputs: readonly string[]
  readonly imports: readonly string[]
}

/** Bundles all functions. The AWS SDK is left out: it is part of Lambda's runtime for Node. */
export async function bundleFunctions(folder: string): Promise<Readonly<Record<FunctionName, Bundle>>> {
  const entries = await Promise.all(functionNames.map(async (name) => [name, await bundle(name, join(folder, name))] as const))
  return Object.fromEntries(entries) as Record<FunctionName, Bundle>
}

async function bundle(name: FunctionName, folder: string): Promise<Bundle> {
  const file = join(folder, 'index.mjs')
  const { metafile } = await build({
    absWorkingDir: here,
    entryPoints: [`functions/${name}.ts`],
    outfile: file,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    external: ['@aws-sdk/*'],
    // Here `cqrs-es` is its source. With the package from npm this line goes.
    tsconfig: '../../tsconfig.json',
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  })
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path))
  return { folder, file, inputs: Object.keys(metafile.inputs), imports: [...new Set(imports)] }
}

const here = fileURLToPath(new URL('.', import.meta.url))
