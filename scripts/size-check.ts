/**
 * Compares the size of each entry's bundle with `scripts/sizes.json`: `npm run size:check`. An
 * entry that grew by more than the tolerance fails. `-- --write` accepts the new sizes.
 */
import { readFile, writeFile } from 'node:fs/promises'
import packageJson from '../package.json' with { type: 'json' }
import { root } from '../test/run.ts'
import { bundled, programs } from './bundles.ts'

const file = `${root}scripts/sizes.json`

/** Accepted growth over the recorded size: percent, and bytes for small entries. */
const tolerance = { percent: 2, bytes: 100 }

const sizes: Record<string, number> = {}
for (const subpath of Object.keys(packageJson.exports)) {
  if (subpath === './package.json') continue
  // Measures the source, so that no build is needed.
  const entry = `./src${subpath.slice(1)}/index.ts`
  sizes[packageJson.name + subpath.slice(1)] = (await bundled(`export * from '${entry}'`)).gzippedBytes
  if (subpath === '.')
    for (const [what, names] of Object.entries(programs))
      sizes[`${packageJson.name} ${what}`] = (await bundled(`export { ${names} } from '${entry}'`)).gzippedBytes
}

if (process.argv.includes('--write')) {
  await writeFile(file, `${JSON.stringify(sizes, null, 2)}\n`)
  console.log('Wrote scripts/sizes.json.')
} else {
  const known = JSON.parse(await readFile(file, 'utf8')) as Readonly<Record<string, number>>
  const names = [...new Set([...Object.keys(known), ...Object.keys(sizes)])]
  const faults = names.flatMap((name) => faultOf(name, known[name], sizes[name]) ?? [])
  for (const fault of faults) console.error(fault)
  if (faults.length > 0) {
    console.error('Make it smaller, or keep the new sizes in the same change: npm run size:check -- --write')
    process.exitCode = 1
  } else console.log(`No entry grew by more than ${tolerance.percent} % and ${tolerance.bytes} bytes (gzipped).`)
}

function faultOf(name: string, known: number | undefined, size: number | undefined): string | undefined {
  if (known === undefined) return `${name} has no size in scripts/sizes.json.`
  if (size === undefined) return `${name} is in scripts/sizes.json and not in the package.`
  const most = Math.round(known * (1 + tolerance.percent / 100)) + tolerance.bytes
  return size > most ? `${name}: ${size} bytes gzipped, at most ${most}. It was ${known}.` : undefined
}
