import { messageOf, ValidationError } from '../errors.ts'
import { parseReceived } from '../store/exact-json.ts'
import { HttpProblem } from './responses.ts'

/**
 * Reads the JSON in the body, `undefined` if the body is empty.
 *
 * @throws HttpProblem, ValidationError, and the reason of the request's signal
 */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  checkMediaType(request.headers)
  const bytes = await bytesOf(request, maxBytes)
  if (bytes.length > maxBytes) throw tooLarge(maxBytes)
  return bytes.length === 0 ? undefined : parseJson(bytes)
}

/**
 * Checked even without a body: a page of another site cannot send this type without a preflight.
 */
function checkMediaType(headers: Headers): void {
  const [mediaType, ...parameters] = (headers.get('Content-Type') ?? '').toLowerCase().split(';')
  const charset = parameters.map((one) => one.trim()).find((one) => one.startsWith('charset='))
  if (mediaType?.trim() !== 'application/json' || !(charset === undefined || /^charset=("?)utf-?8\1$/.test(charset)))
    throw new HttpProblem(415, 'Send commands as application/json, in UTF-8.')
  const encoding = headers.get('Content-Encoding')
  if (encoding !== null && encoding.toLowerCase() !== 'identity')
    throw new HttpProblem(415, 'Send commands without a content encoding.')
}

async function bytesOf(request: Request, maxBytes: number): Promise<Uint8Array> {
  const { headers, signal } = request
  const length = headers.get('Content-Length') ?? ''
  const isKnown = /^\d+$/.test(length)
  if (isKnown && Number(length) > maxBytes) throw tooLarge(maxBytes)
  if (request.bodyUsed) throw new TypeError(`${taken}.`)
  signal.throwIfAborted()
  try {
    // Node's adapter creates `request.body` lazily, at a higher cost than the whole command. Avoid
    // it if the server enforces a length.
    if (isKnown) return new Uint8Array(await untilAborted(signal, request.arrayBuffer()))
    return request.body === null ? new Uint8Array() : await readBytes(request.body.getReader(), maxBytes, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof HttpProblem) throw error
    // The messages of Node and its adapter for a body that was already read.
    if (error instanceof TypeError && /unusable|locked/.test(messageOf(error))) throw new TypeError(`${taken}.`, { cause: error })
    throw new HttpProblem(400, 'The body could not be read completely.')
  }
}

const taken = 'Another function read the body of the request before the handler. It must leave the body unread'

/** A body may never end. */
function untilAborted<T>(signal: AbortSignal, reading: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(signal.reason)
    signal.addEventListener('abort', giveUp, { once: true })
    reading.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
  })
}

async function readBytes(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  // Cancelling a body runs foreign code, which may take forever.
  const giveUp = () => void reader.cancel(signal.reason).catch(() => {})
  signal.addEventListener('abort', giveUp, { once: true })
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      length += value.length
      if (length > maxBytes) {
        giveUp()
        throw tooLarge(maxBytes)
      }
      chunks.push(value)
    }
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
  // A cancelled body ends, too.
  signal.throwIfAborted()
  return joined(chunks, length)
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

const tooLarge = (maxBytes: number) => new HttpProblem(413, `The body exceeds the limit of ${maxBytes} bytes.`)

/** Refuses invalid UTF-8. */
const utf8 = new TextDecoder('utf-8', { fatal: true })

function parseJson(bytes: Uint8Array): unknown {
  try {
    return parseReceived(utf8.decode(bytes))
  } catch (cause) {
    if (cause instanceof ValidationError) throw cause
    throw new ValidationError('The body is not JSON in UTF-8.', undefined, cause)
  }
}
