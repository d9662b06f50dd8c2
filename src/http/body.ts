import { messageOf, ValidationError } from '../errors.ts'
import { parseReceived } from '../store/exact-json.ts'
import { HttpProblem } from './responses.ts'

/** The JSON in the body, `undefined` where the body is empty. @throws HttpProblem, ValidationError, and the reason of the request's signal */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  checkMediaType(request.headers)
  const bytes = await bytesOf(request, maxBytes)
  if (bytes.length > maxBytes) throw tooLarge(maxBytes)
  return bytes.length === 0 ? undefined : parseJson(bytes)
}

/** Asked for with an empty body too: a page of another site cannot send this type without having asked for leave. */
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
    // The adapter for Node makes the stream only when it is asked for, which costs more than the command: where the server holds the body to a length, it is not.
    if (isKnown) return new Uint8Array(await untilAborted(signal, request.arrayBuffer()))
    return request.body === null ? new Uint8Array() : await readBytes(request.body.getReader(), maxBytes, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof HttpProblem) throw error
    // What Node, and its adapter, say of a body that somebody else has read.
    if (error instanceof TypeError && /unusable|locked/.test(messageOf(error))) throw new TypeError(`${taken}.`, { cause: error })
    throw new HttpProblem(400, 'The body could not be read to its end.')
  }
}

const taken = 'The body of the request was read by something in front of the handler, which must leave it alone'

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
  // What a body does to be given up is its own affair, and may take for ever.
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
  // One that was given up ends too.
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

const tooLarge = (maxBytes: number) => new HttpProblem(413, `A command may have ${maxBytes} bytes.`)

/** Refuses what is no UTF-8. */
const utf8 = new TextDecoder('utf-8', { fatal: true })

function parseJson(bytes: Uint8Array): unknown {
  try {
    return parseReceived(utf8.decode(bytes))
  } catch (cause) {
    if (cause instanceof ValidationError) throw cause
    throw new ValidationError('The body is not JSON in UTF-8.', undefined, cause)
  }
}
