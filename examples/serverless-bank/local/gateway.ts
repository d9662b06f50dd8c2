import { randomUUID } from 'node:crypto'
import type { APIGatewayProxyEventV2WithJWTAuthorizer as Event, APIGatewayProxyStructuredResultV2 as Result } from 'aws-lambda'
import type { Outcome } from './sandbox.ts'
import { claimsOf } from './tokens.ts'

/**
 * Plays API Gateway: refuses a request without a token, else calls the function with an event, and
 * turns its answer into a response.
 */
export async function serve(request: Request, sourceIp: string, invoke: (event: Event) => Promise<Outcome>): Promise<Response> {
  const claims = claimsOf(request.headers.get('Authorization') ?? undefined)
  if (claims === undefined) return json({ message: 'Unauthorized' }, 401, { 'WWW-Authenticate': 'Bearer' })
  const outcome = await invoke(await eventOf(request, sourceIp, claims))
  return 'answer' in outcome ? responseOf(outcome.answer) : json({ message: 'Internal Server Error' }, 500)
}

/** An event of an HTTP API, in format 2.0 with all its fields. */
export async function eventOf(request: Request, sourceIp: string, claims: Record<string, string>): Promise<Event> {
  const { pathname, search, searchParams, host, hostname } = new URL(request.url)
  const headers = Object.fromEntries([...request.headers].filter(([name]) => name !== 'cookie'))
  const cookies = request.headers.get('Cookie')?.split(/; */)
  const path = decoded(pathname)
  const now = new Date()
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: search.slice(1),
    ...(cookies && { cookies }),
    headers: {
      ...headers,
      host,
      'x-amzn-trace-id': `Root=1-${hex(now)}-${randomUUID().replaceAll('-', '').slice(8)}`,
      'x-forwarded-for': sourceIp,
      'x-forwarded-port': '443',
      'x-forwarded-proto': 'https',
    },
    ...(search.length > 1 && { queryStringParameters: joined(searchParams) }),
    requestContext: {
      accountId: '123456789012',
      apiId: 'local',
      // The types include fields that only other authorizers send.
      authorizer: { jwt: { claims, scopes: null } } as unknown as Event['requestContext']['authorizer'],
      domainName: hostname,
      domainPrefix: hostname.split('.')[0] ?? '',
      http: {
        method: request.method,
        path,
        protocol: 'HTTP/1.1',
        sourceIp,
        userAgent: request.headers.get('User-Agent') ?? '',
      },
      requestId: randomUUID().slice(0, 16),
      routeKey: '$default',
      stage: '$default',
      time: timeOf(now),
      timeEpoch: now.getTime(),
    },
    ...(await bodyOf(request)),
  }
}

/** An HTTP API decodes the path first. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** Joins the values of a repeated parameter with commas. */
function joined(search: URLSearchParams): Record<string, string> {
  return Object.fromEntries([...new Set(search.keys())].map((name) => [name, search.getAll(name).join(',')]))
}

/** The body; as base64 if it is not text. */
async function bodyOf(request: Request): Promise<{ body?: string; isBase64Encoded: boolean }> {
  const bytes = Buffer.from(await request.arrayBuffer())
  if (bytes.length === 0) return { isBase64Encoded: false }
  const isText = /^(text\/|application\/(.*\+)?(json|xml|javascript))/i.test(request.headers.get('Content-Type') ?? '')
  return isText ? { body: bytes.toString(), isBase64Encoded: false } : { body: bytes.toString('base64'), isBase64Encoded: true }
}

/** An answer without a `statusCode` is the body of a 200. */
function responseOf(answer: unknown): Response {
  const isObject = typeof answer === 'object' && answer !== null
  if (!isObject || !('statusCode' in answer)) return json(answer, 200)
  const { statusCode = 200, headers = {}, body = '', isBase64Encoded = false, cookies = [] } = answer as Result
  const sent = new Headers(Object.entries(headers).map(([name, value]) => [name, String(value)]))
  for (const cookie of cookies) sent.append('Set-Cookie', cookie)
  if (!sent.has('Content-Type')) sent.set('Content-Type', 'text/plain')
  const bytes = isBase64Encoded ? Buffer.from(body, 'base64') : body
  return new Response([204, 304].includes(statusCode) ? null : bytes, { status: statusCode, headers: sent })
}

const json = (body: unknown, status: number, headers: Record<string, string> = {}): Response =>
  Response.json(body, { status, headers })

const hex = (time: Date): string => Math.floor(time.getTime() / 1_000).toString(16)

/** `12/Mar/2020:19:03:58 +0000` */
function timeOf(time: Date): string {
  const [day, month, year, clock] = time.toUTCString().slice(5, -4).split(' ')
  return `${day}/${month}/${year}:${clock} +0000`
}
