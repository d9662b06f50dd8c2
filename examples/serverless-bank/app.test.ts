import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { run } from '../../test/run.ts'
import cdk from './cdk.json' with { type: 'json' }

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bank-app-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** Runs `cdk synth -c name=value`. */
const synth = (context: Readonly<Record<string, string>>) =>
  run('sh', ['-c', cdk.app], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    env: { CDK_OUTDIR: folder, CDK_CONTEXT_JSON: JSON.stringify(context) },
  })

it.skipIf(process.platform === 'win32')('cdk synth makes a template of the settings', async () => {
  const context = { tokenIssuer: 'https://login.example.com/', tokenAudience: 'bank,shop', removable: 'true' }
  const { code, output } = await synth(context)
  expect(code, output).toBe(0)
  const template = JSON.parse(await readFile(join(folder, 'ServerlessBank.template.json'), 'utf8'))
  const resources = Object.values(template.Resources) as { Type: string; Properties: object; DeletionPolicy?: string }[]
  const of = (type: string) => resources.filter(({ Type }) => Type === type)
  expect(of('AWS::ApiGatewayV2::Authorizer')).toMatchObject([
    { Properties: { JwtConfiguration: { Issuer: 'https://login.example.com/', Audience: ['bank', 'shop'] } } },
  ])
  expect(of('AWS::DynamoDB::Table').map(({ DeletionPolicy }) => DeletionPolicy)).toEqual(Array(4).fill('Delete'))
})

it.skipIf(process.platform === 'win32').each([
  [{}, 'tokenIssuer'],
  [{ tokenIssuer: 'https://login.example.com/' }, 'tokenAudience'],
])('cdk synth makes no API that is open to everybody: %j', async (context, missing) => {
  const { code, output } = await synth(context as Record<string, string>)
  expect(code).not.toBe(0)
  expect(output).toContain(`-c ${missing}=…: without it the API would be open to everybody.`)
})
