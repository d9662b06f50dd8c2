import { ValidationError } from '../errors.ts'
import { HttpProblem } from './answers.ts'

/** The JSON in the body, `undefined` where the body is empty. @throws HttpProblem, ValidationError */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  checkMediaType(request.headers)
  const announced = Number(request.headers.get('Content-Length') ?? Number.NaN)
  if (announced > maxBytes) throw tooLarge(maxBytes)
  if (request.body === null) return undefined
  const bytes = announced >= 0 ? new Uint8Array(await request.arrayBuffer()) : await readBytes(request.body, maxBytes)
  if (bytes.length > maxBytes) throw tooLarge(maxBytes)
  return bytes.length === 0 ? undefined : parseJson(bytes)
}

/** Asked for with an empty body too: a page of another site cannot send this type without having asked for leave. */
function checkMediaType(headers: Headers): void {
  const [mediaType, ...parameters] = (headers.get('Content-Type') ?? '').toLowerCase().split(';')
  const charset = parameters.map((one) => one.trim()).find((one) => one.startsWith('charset='))
  if (mediaType?.trim() !== 'application/json' || !(charset === undefined || /^charset="?utf-8"?$/.test(charset)))
    throw new HttpProblem(415, 'Send commands as application/json, in UTF-8.')
  const encoding = headers.get('Content-Encoding')
  if (encoding !== null && encoding !== 'identity') throw new HttpProblem(415, 'Send commands without a content encoding.')
}

async function readBytes(body: ReadableStream<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const reader = body.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > maxBytes) {
      await reader.cancel()
      throw tooLarge(maxBytes)
    }
    chunks.push(value)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

const tooLarge = (maxBytes: number) => new HttpProblem(413, `A command may have ${maxBytes} bytes.`)

/** Refuses what is no UTF-8. */
const utf8 = new TextDecoder('utf-8', { fatal: true })

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(bytes))
  } catch (cause) {
    throw new ValidationError('The body is not JSON in UTF-8.', undefined, cause)
  }
}
