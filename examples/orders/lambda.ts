import { openBank } from '../serverless-bank/local/bank.ts'
import { localToken } from '../serverless-bank/local/tokens.ts'

/**
 * `npm run orders:lambda`: the shop as functions of AWS Lambda, on a DynamoDB emulator. The
 * serverless bank plays AWS: gateway, stream, queue, and a schedule that is faster than a minute.
 */
try {
  const { url, close } = await openBank({
    port: Number(process.env.PORT || 3000),
    endpoint: process.env.DYNAMODB_ENDPOINT || undefined,
    prefix: process.env.TABLES || 'orders',
    source: '../orders/functions',
    drainMs: 1_000,
  })
  console.log(`The shop is open at ${url}. Try it from another terminal. Ctrl-C closes it.\n`)
  for (const line of tryIt(url)) console.log(`  ${line}`)
  let closing: Promise<void> | undefined
  const end = async () => {
    closing ??= close()
    await closing
    console.log('\nThe shop is closed.')
  }
  process.once('SIGINT', end).once('SIGTERM', end)
} catch (error) {
  console.error(`The shop cannot open: ${error instanceof Error ? error.message : error}`)
  console.error('PORT chooses another port, DYNAMODB_ENDPOINT another emulator, TABLES another prefix of the table names.')
  process.exitCode = 1
}

function tryIt(url: string): readonly string[] {
  const post = (path: string, data: object) =>
    `curl ${url}${path} -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '${JSON.stringify(data)}'`
  const data = { reference: 't-1', order: 'o-2', amount: 250_000 }
  const report = { specversion: '1.0', id: 'e-1', source: '/psp', type: 'com.psp.transfer.received.v1', data }
  return [
    `TOKEN=${localToken('ann')}`,
    post('/stock/tea/AddStock', { quantity: 10 }),
    post('/stock/piano/AddStock', { quantity: 1 }),
    post('/order/o-1/PlaceOrder', { customer: 'ann', lines: [{ sku: 'tea', quantity: 1 }] }),
    post('/order/o-2/PlaceOrder', { customer: 'ann', lines: [{ sku: 'piano', quantity: 1 }] }),
    // A message as SQS delivers it.
    `curl ${url}/_local/queue -d '${JSON.stringify([{ body: JSON.stringify(report) }])}'`,
    `curl ${url}/views/orders -H "Authorization: Bearer $TOKEN"`,
  ]
}
