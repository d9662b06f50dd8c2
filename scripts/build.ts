import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import packageJson from '../package.json' with { type: 'json' }

/**
 * Writes `dist`: one module per subpath, and chunks for shared code, because loading fifty small
 * modules takes several times as long as loading three. Declarations come from `tsc`.
 */
const root = fileURLToPath(new URL('..', import.meta.url))

const entryPoints = Object.values(packageJson.exports).flatMap((target) =>
  typeof target === 'string' ? [] : [`${root}${target.default.replace('./dist/', 'src/').replace(/\.js$/, '.ts')}`],
)

await rm(`${root}dist`, { recursive: true, force: true })
await build({
  entryPoints,
  outdir: `${root}dist`,
  outbase: `${root}src`,
  bundle: true,
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  format: 'esm',
  platform: 'neutral',
  target: 'es2022',
  external: ['node:*'],
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
})
