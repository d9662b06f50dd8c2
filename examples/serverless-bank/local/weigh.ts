import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import type { Bundle } from '../bundle.ts'

export interface Weight {
  readonly bytes: number
  readonly gzippedBytes: number
  /** The bundle alone: Lambda provides the AWS SDK. */
  readonly importMs: number
  /** With the AWS SDK from `node_modules`. */
  readonly withSdkMs: number
}

const rounds = 3

/**
 * Size of a function, and the time a new Node process takes to load it: the median of some
 * processes.
 */
export async function weigh({ file }: Bundle, environment: Readonly<Record<string, string>>): Promise<Weight> {
  const bundle = await readFile(file)
  const loads: { readonly sdk: number; readonly own: number }[] = []
  for (let round = 0; round < rounds; round++) loads.push(await load(file, environment))
  return {
    bytes: bundle.length,
    gzippedBytes: gzipSync(bundle, { level: 9 }).length,
    importMs: median(loads.map(({ own }) => own)),
    withSdkMs: median(loads.map(({ sdk, own }) => sdk + own)),
  }
}

/**
 * Node sets up its loader with its first import, which is not counted. Runs next to the bundle, to
 * find the AWS SDK.
 */
async function load(file: string, env: Readonly<Record<string, string>>): Promise<{ sdk: number; own: number }> {
  const program = `
    await import('data:text/javascript,')
    const begin = performance.now()
    await import('@aws-sdk/client-dynamodb')
    const between = performance.now()
    await import(${JSON.stringify(pathToFileURL(file).href)})
    console.log(JSON.stringify({ sdk: between - begin, own: performance.now() - between }))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    env,
    cwd: dirname(file),
  })
  return JSON.parse(stdout) as { sdk: number; own: number }
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN
