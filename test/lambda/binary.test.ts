import { onHttp } from 'cqrs-es/lambda'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { functionUrl } from './events.ts'

const echo = onHttp(async (request) => {
  const headers = { 'content-type': request.headers.get('content-type') ?? 'application/octet-stream' }
  return new Response(await request.arrayBuffer(), { headers })
})
const sent = (body: string, isBase64Encoded: boolean, headers = {}) =>
  echo(functionUrl({ body, isBase64Encoded, headers }, 'POST'))

test('any bytes pass through onHttp unchanged in both directions', async () => {
  const bytes = fc.uint8Array({ maxLength: 2_000 })
  await fc.assert(
    fc.asyncProperty(bytes, async (given) => {
      const base64 = Buffer.from(given).toString('base64')
      const { body, isBase64Encoded } = await sent(base64, true)
      expect(body).toBe(base64)
      expect(isBase64Encoded).toBe(given.length > 0)
    }),
  )
})

test('any text passes through onHttp unchanged, also as base64', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme' }), async (text) => {
      const headers = { 'content-type': 'text/plain' }
      expect(await sent(text, false, headers)).toMatchObject({ body: text, isBase64Encoded: false })
      expect(await sent(Buffer.from(text).toString('base64'), true, headers)).toMatchObject({
        body: text,
        isBase64Encoded: false,
      })
    }),
  )
})

test('onHttp refuses a body that is not base64 and accepts every one that is', async () => {
  const piece = fc.constantFrom('A', 'Zz', '+', '/', '=', '==', '-', '_', ' ', '\n', 'é', '日', '\0')
  const isBase64 = (text: string) => /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 9 }), async (pieces) => {
      const text = pieces.join('')
      expect((await sent(text, true)).statusCode, JSON.stringify(text)).toBe(isBase64(text) ? 200 : 400)
    }),
    { numRuns: 2_000 },
  )
})

test('onHttp accepts a body as large as Lambda allows', async () => {
  const large = Buffer.alloc(4_400_000, 'some bytes \xff', 'latin1').toString('base64')
  expect((await sent(large, true)).body === large).toBe(true)
})
