import { toBase64 } from './base64.ts'

/** A response for an API Gateway HTTP API or a Function URL. */
export interface HttpResult {
  readonly statusCode: number
  /** Headers. Several of one name are joined by commas. */
  readonly headers: Record<string, string>
  /** One item per `set-cookie` header; absent without one. */
  readonly cookies?: string[]
  /** Body: UTF-8 text as it is, anything else as base64. */
  readonly body: string
  readonly isBase64Encoded: boolean
}

/** Lambda sends whole responses, so a response that must not be buffered is refused. */
export async function toResult({ method }: Request, response: Response): Promise<HttpResult> {
  if (response.headers.get('x-accel-buffering') === 'no') {
    await response.body?.cancel()
    return problem(
      406,
      'Not Acceptable',
      'This function cannot stream a response. Read the view without Accept: text/event-stream.',
    )
  }
  const headers: Record<string, string> = {}
  response.headers.forEach((value, name) => {
    if (name !== 'set-cookie') headers[name] = value
  })
  const cookies = response.headers.getSetCookie()
  const bytes = new Uint8Array(await response.arrayBuffer())
  const text = method === 'HEAD' ? '' : textOf(response.headers, bytes)
  return {
    statusCode: response.status,
    headers,
    ...(cookies.length > 0 && { cookies }),
    body: text ?? toBase64(bytes),
    isBase64Encoded: text === undefined,
  }
}

/** Problem details (RFC 9457) for a malformed request. */
export const badRequest = (detail: string): HttpResult => problem(400, 'Bad Request', detail)

const problem = (status: number, title: string, detail: string): HttpResult => ({
  statusCode: status,
  headers: { 'content-type': 'application/problem+json' },
  body: JSON.stringify({ type: 'about:blank', title, status, detail }),
  isBase64Encoded: false,
})

const textual = /^(text\/.+|.+\/(.+\+)?(json|xml|javascript|x-www-form-urlencoded|(x-)?ndjson))$/
const utf8 = /^(utf-?8|us-ascii)$/

/** Returns the body if it is text, `undefined` if it must be base64. */
function textOf(headers: Headers, bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return ''
  const [type = '', ...parameters] = (headers.get('content-type') ?? '').toLowerCase().split(';')
  const charset = parameters.map((parameter) => /^\s*charset\s*=\s*"?([^"\s]*)/.exec(parameter)?.[1]).find(Boolean)
  if (!textual.test(type.trim()) || !utf8.test(charset ?? 'utf-8')) return undefined
  if ((headers.get('content-encoding') ?? 'identity') !== 'identity') return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}
