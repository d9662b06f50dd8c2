import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { root } from '../test/run.ts'

/** Typical imports of programs. Each kind of consumer brings the code that runs it. */
const commands = 'createApp, defineAggregate, noData, reject, typed'
export const programs = {
  'without views': commands,
  'with views': `${commands}, defineView`,
  'with defineSqlView': `${commands}, defineSqlView`,
  'with subscriptions': `${commands}, defineSubscription`,
}

export interface BundleSize {
  readonly minifiedBytes: number
  readonly gzippedBytes: number
}

/** A module with this text and all its imports, as a bundler would ship it. */
export async function bundled(contents: string): Promise<BundleSize> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    external: ['node:*', 'bun:*'],
    write: false,
    logLevel: 'error',
  })
  const [bundle] = outputFiles
  if (bundle === undefined) throw new Error(`No bundle for ${contents}.`)
  return { minifiedBytes: bundle.contents.length, gzippedBytes: gzipSync(bundle.contents, { level: 9 }).length }
}
