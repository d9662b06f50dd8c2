/**
 * Measures the size of the built package: `npm run size`. Prints a table and writes
 * bench/results/weight.json.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { version as esbuild } from 'esbuild'
import { node, root, run } from '../test/run.ts'
import { bundled, programs } from './bundles.ts'

const rounds = 21

interface Manifest {
  readonly name: string
  readonly version: string
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>
}

interface Weight {
  readonly subpath: string
  readonly minifiedBytes: number
  readonly gzippedBytes: number
  /**
   * Median, in a new process that imported an empty module first, because Node sets up its loader
   * then.
   */
  readonly importMs: number
  /** Growth of the heap by the import. Median, in a new process. */
  readonly heapBytes: number
}

const manifest = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as Manifest
const weights: Weight[] = []
for (const [subpath, target] of Object.entries(manifest.exports)) {
  if (typeof target === 'string') continue
  const loaded = await imported(target.default)
  weights.push({
    subpath: manifest.name + subpath.slice(1),
    ...(await bundled(`export * from '${target.default}'`)),
    ...loaded,
  })
  if (subpath === '.')
    for (const [what, names] of Object.entries(programs))
      weights.push({
        subpath: `${manifest.name} ${what}`,
        ...(await bundled(`export { ${names} } from '${target.default}'`)),
        ...loaded,
      })
}
const packed = await packedSize()

console.table(
  Object.fromEntries(
    weights.map(({ subpath, minifiedBytes, gzippedBytes, importMs, heapBytes }) => [
      subpath,
      { 'minified kB': kilo(minifiedBytes), 'gzipped kB': kilo(gzippedBytes), 'import ms': importMs, 'heap kB': kilo(heapBytes) },
    ]),
  ),
)
console.log(
  `Tarball ${kilo(packed.tarballBytes)} kB, installed ${kilo(packed.installedBytes)} kB in ${packed.files} files, no dependencies.`,
)

const settings = { version: manifest.version, node: process.version, esbuild, cores: availableParallelism(), rounds }
await mkdir(`${root}bench/results`, { recursive: true })
await writeFile(
  `${root}bench/results/weight.json`,
  `${JSON.stringify({ question: 'weight', settings, weights, packed }, null, 2)}\n`,
)

async function imported(file: string): Promise<Pick<Weight, 'importMs' | 'heapBytes'>> {
  const program = `
    await import('data:text/javascript,')
    const url = ${JSON.stringify(new URL(file, `file://${root}`).href)}
    gc()
    const heap = process.memoryUsage().heapUsed
    const start = performance.now()
    await import(url)
    const importMs = performance.now() - start
    gc()
    console.log(JSON.stringify({ importMs, heapBytes: process.memoryUsage().heapUsed - heap }))`
  const samples: Pick<Weight, 'importMs' | 'heapBytes'>[] = []
  for (let round = 0; round < rounds; round++) {
    const { code, output } = await node('--expose-gc', '--input-type=module', '--eval', program)
    if (code !== 0) throw new Error(output)
    samples.push(JSON.parse(output))
  }
  return {
    importMs: Math.round(median(samples.map((sample) => sample.importMs)) * 100) / 100,
    heapBytes: median(samples.map((sample) => sample.heapBytes)),
  }
}

async function packedSize(): Promise<{ tarballBytes: number; installedBytes: number; files: number }> {
  const { code, output } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'])
  if (code !== 0) throw new Error(output)
  const [report] = JSON.parse(output.slice(output.indexOf('['))) as [{ size: number; unpackedSize: number; entryCount: number }]
  return { tarballBytes: report.size, installedBytes: report.unpackedSize, files: report.entryCount }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function kilo(bytes: number): number {
  return Math.round(bytes / 100) / 10
}
