import { toBase64 } from './base64.ts'

/** A response as an API Gateway HTTP API and a Function URL take it. */
export interface HttpResult {
  readonly statusCode: number
  /** Several of one name are joined by commas. */
  readonly headers: Record<string, string>
  /** One for each `set-cookie` header; left out when there is none. */
  readonly cookies?: string[]
  /** As it is when it is text in UTF-8, else base64. */
  readonly body: string
  readonly isBase64Encoded: boolean
}

/** Lambda sends an answer when all of it is there, so one that must not be buffered is refused. */
export async function toResult({ method }: Request, response: Response): Promise<HttpResult> {
  if (response.headers.get('x-accel-buffering') === 'no') {
    await response.body?.cancel()
    return problem(
      406,
      'Not Acceptable',
      'This function cannot stream an answer. Read the view without Accept: text/event-stream.',
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

/** Problem details (RFC 9457) for a request that cannot be understood. */
export const badRequest = (detail: string): HttpResult => problem(400, 'Bad Request', detail)

const problem = (status: number, title: string, detail: string): HttpResult => ({
  statusCode: status,
  headers: { 'content-type': 'application/problem+json' },
  body: JSON.stringify({ type: 'about:blank', title, status, detail }),
  isBase64Encoded: false,
})

const textual = /^(text\/.+|.+\/(.+\+)?(json|xml|javascript|x-www-form-urlencoded|(x-)?ndjson))$/
const utf8 = /^(utf-?8|us-ascii)$/

/** The body when it is text, `undefined` when it must go as base64. */
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
