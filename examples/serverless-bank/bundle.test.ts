import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../test/run.ts'
import { serverUrl } from '../../test/servers/ask.ts'
import { unselected } from '../../test/servers/stores.ts'
import { type Bundle, bundleFunctions } from './bundle.ts'
import { environmentOf } from './local/environment.ts'
import { eventOf } from './local/gateway.ts'
import { makeTables } from './local/tables.ts'
import { claimsOf, localToken } from './local/tokens.ts'
import { type FunctionName, functionNames } from './settings.ts'

let folder: string
let bundles: Readonly<Record<FunctionName, Bundle>>

beforeAll(async () => {
  // A folder from which the AWS SDK can be imported.
  const dist = fileURLToPath(new URL('dist/', import.meta.url))
  await mkdir(dist, { recursive: true })
  folder = await mkdtemp(`${dist}test-`)
  bundles = await bundleFunctions(folder)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe.each(functionNames)('the bundle of the function %s', (name) => {
  it('a bundle leaves the AWS SDK to the runtime and imports nothing else', () => {
    expect(bundles[name].imports).toEqual(['@aws-sdk/client-dynamodb'])
    expect(bundles[name].inputs.filter((file) => /@aws-sdk|@smithy|aws-cdk/.test(file))).toEqual([])
  })

  it('a bundle is small', async () => {
    expect(gzipSync(await readFile(bundles[name].file), { level: 9 }).length).toBeLessThan(124_000)
  })

  it('a bundle has only what its function uses', () => {
    const has = (part: string) => bundles[name].inputs.some((file) => file.includes(part))
    expect(has('src/http/')).toBe(name === 'command')
    expect(has('bank-account/transfers.ts')).toBe(name === 'stream' || name === 'drain')
    for (const other of ['src/memory/', 'src/sqlite/', 'src/postgres/', 'src/mysql/', 'src/testing/', 'src/conformance/'])
      expect(has(other), other).toBe(false)
  })
})

describe.skipIf(unselected('dynamodb'))('the bundle of the command function', () => {
  it('the command function answers in a fresh process and leaves nothing that keeps it alive', async () => {
    const endpoint = await serverUrl('dynamodb')
    const prefix = `bundle-${process.pid}`
    await makeTables(endpoint, prefix)
    const request = new Request('https://bank.example.com/account/acct%201/OpenAccount?a=1&a=2', {
      method: 'POST',
      headers: { Authorization: `Bearer ${localToken('ann')}`, 'Content-Type': 'application/json', Cookie: 'a=b; c=d' },
      body: JSON.stringify({ owner: 'ann' }),
    })
    const claims = claimsOf(request.headers.get('Authorization') ?? '') ?? {}
    const event = await eventOf(request, '203.0.113.7', claims)
    expect(event).toMatchObject({
      version: '2.0',
      rawPath: '/account/acct 1/OpenAccount',
      rawQueryString: 'a=1&a=2',
      queryStringParameters: { a: '1,2' },
      cookies: ['a=b', 'c=d'],
      headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.7' },
      requestContext: {
        authorizer: { jwt: { claims: { sub: 'ann', aud: 'bank' }, scopes: null } },
        http: { method: 'POST', sourceIp: '203.0.113.7' },
      },
      isBase64Encoded: false,
    })
    expect(event.headers).not.toHaveProperty('cookie')
    const program = `
      const { handler } = await import(${JSON.stringify(pathToFileURL(bundles.command.file).href)})
      console.log(JSON.stringify(await handler(${JSON.stringify({ ...event, rawQueryString: '' })}, { getRemainingTimeInMillis: () => 15_000 })))`
    const env = environmentOf('command', endpoint, prefix)
    const { code, output } = await run(process.execPath, ['--input-type=module', '--eval', program], { env })
    expect(code, output).toBe(0)
    const answer = JSON.parse(output)
    expect(answer).toMatchObject({ statusCode: 200, headers: { etag: '"1"' }, isBase64Encoded: false })
    expect(JSON.parse(answer.body)).toMatchObject({ sequence: 1, state: { open: true } })
  })
})
