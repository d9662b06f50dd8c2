import { functionNames } from '../settings.ts'
import { openBank } from './bank.ts'
import { environmentOf } from './environment.ts'
import { tryIt } from './try-it.ts'
import { weigh } from './weigh.ts'

const prefix = process.env.TABLES || 'bank'
let closing: Promise<void> | undefined

try {
  const bank = await openBank({
    port: Number(process.env.PORT || 3000),
    endpoint: process.env.DYNAMODB_ENDPOINT || undefined,
    prefix,
  })
  const close = async () => {
    closing ??= bank.close()
    await closing
    console.log('\nThe bank is closed.')
  }
  process.once('SIGINT', close).once('SIGTERM', close)

  console.log(`The bank is open at ${bank.url}: the functions as they are deployed, on the DynamoDB at ${bank.endpoint}.\n`)
  const rows = []
  for (const name of functionNames) {
    const { bytes, gzippedBytes, importMs, withSdkMs } = await weigh(
      bank.bundles[name],
      environmentOf(name, bank.endpoint, prefix),
    )
    rows.push({
      function: name,
      'minified kB': tenths(bytes / 1_000),
      'gzipped kB': tenths(gzippedBytes / 1_000),
      'import ms': tenths(importMs),
      'with the AWS SDK ms': tenths(withSdkMs),
    })
  }
  console.table(Object.fromEntries(rows.map(({ function: name, ...weight }) => [name, weight])))
  console.log('\nTry it from another terminal. Ctrl-C closes the bank.\n')
  for (const line of tryIt(bank.url)) console.log(line === '' ? '' : `  ${line}`)
} catch (error) {
  // After a close the bundles are gone, which is no failure.
  if (closing === undefined) fail(error)
}

function fail(error: unknown): void {
  console.error(`The bank cannot open: ${error instanceof Error ? error.message : error}`)
  console.error('PORT chooses another port, DYNAMODB_ENDPOINT another emulator, TABLES another prefix of the table names.')
  process.exitCode = 1
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10
}
