import { type CqrsErrorCode, type Issue, isCqrsError } from '../errors.ts'

/** HTTP statuses of errors. A rejection is not an error, and a 422. */
export const statuses: Readonly<Record<CqrsErrorCode, number>> = {
  VALIDATION: 400,
  CONFLICT: 409,
  NOT_YET: 202,
  IDEMPOTENCY: 422,
  STORE_LIMIT: 413,
  OVERLOADED: 503,
  CLOSED: 503,
  OUTCOME_UNKNOWN: 503,
  STOPPED: 503,
  VIEW_OUTDATED: 503,
  STORE_BUSY: 503,
  STORE_UNAVAILABLE: 503,
  STORE_FULL: 503,
  STORE_READ_ONLY: 503,
  STORE_CORRUPT: 503,
  STORE_BEHIND: 503,
  SCHEMA_MISSING: 503,
  SCHEMA_TOO_NEW: 503,
  STORE_FAILED: 500,
  DESERIALIZATION: 500,
  INVALID_EVENT: 500,
  APPLY: 500,
  DEFINITION: 500,
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** A response that needs no call of the app: the request itself is at fault. */
export class HttpProblem extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  constructor(status: number, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail)
    this.status = status
    this.headers = headers
  }
}

const always = { 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'private, no-cache' }

/** A response with JSON. */
export const answer = (body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', ...always, ...headers } })

/** A streamed response. */
export const streamed = (body: ReadableStream<Uint8Array>, headers: Readonly<Record<string, string>> = {}): Response =>
  new Response(body, { status: 200, headers: { 'Content-Type': 'application/json', ...always, ...headers } })

/** The client already has the current state. */
export const notModified = (etag: string): Response => new Response(null, { status: 304, headers: { ETag: etag, ...always } })

interface ProblemMembers {
  readonly detail: string
  readonly code?: CqrsErrorCode
  readonly reason?: string
  readonly details?: unknown
  readonly issues?: readonly Issue[]
  readonly actualSequence?: number
}

/** A response with problem details, RFC 9457. */
export const problem = (status: number, members: ProblemMembers, headers: Readonly<Record<string, string>> = {}): Response =>
  answer({ title: titles[status] ?? 'Error', status, ...members }, status, {
    'Content-Type': 'application/problem+json',
    ...headers,
  })

const again = { 'Retry-After': '1' }

interface About {
  readonly request: Request
  /**
   * A handler or a schema of the app threw the error.
   *
   * It says nothing about this command, except perhaps that the app is unavailable now.
   */
  readonly isForeign: boolean
  readonly report: (error: unknown) => void
}

/**
 * Makes the response to an error. Errors of the client are explained; faults of the server are
 * reported, without details in the response.
 */
export function answerError(error: unknown, { request, isForeign, report }: About): Response {
  if (error instanceof HttpProblem) return problem(error.status, { detail: error.message }, error.headers)
  const status = isCqrsError(error) ? statuses[error.code] : 500
  const code = isCqrsError(error) ? { code: error.code } : {}
  if (status < 500 && isForeign) {
    report(error)
    return answerFault()
  }
  if (isCqrsError(error, 'VALIDATION')) {
    const { message: detail, issues = [] } = error
    return problem(status, { detail, ...code, issues: issues.map(plainIssue) })
  }
  if (isCqrsError(error, 'CONFLICT')) {
    const { message: detail, expectedSequence, actualSequence } = error
    if (expectedSequence === undefined || !hasPrecondition(request)) return problem(status, { detail, ...code }, again)
    // RFC 9110, section 13.1.1: a failed precondition is not a conflict that a retry would solve.
    return problem(412, { detail, ...code, ...(actualSequence === undefined ? {} : { actualSequence }) })
  }
  // Not a stored command, which has a response elsewhere. Nothing is known to be stored here.
  if (isCqrsError(error, 'NOT_YET')) return answerLater(error, code, report)
  if (isCqrsError(error) && status < 500) return problem(status, { detail: error.message, ...code })
  if (status === 503) return answerLater(error, code, report)
  report(error)
  return problem(status, { detail: ourFault, ...code })
}

const hasPrecondition = ({ headers }: Request): boolean => headers.has('If-Match') || headers.has('If-None-Match')

function answerLater(error: unknown, code: { readonly code?: CqrsErrorCode }, report: (error: unknown) => void): Response {
  report(error)
  return problem(503, { detail: notNow, ...code }, again)
}

/** A fault of the server, without details. */
export const answerFault = (): Response => problem(500, { detail: ourFault })

/**
 * The request's signal aborted before anything was stored: the time is up, or the client is gone.
 */
export const answerAborted = (reason: unknown): Response =>
  (reason as { name?: unknown } | undefined)?.name === 'TimeoutError'
    ? problem(503, { detail: notNow }, again)
    : new Response(null, { status: 499 })

const notNow = 'The service is unavailable at the moment. Retry later, with the same Idempotency-Key if there was one.'
const ourFault = 'The server failed. The error was reported.'

/** Converts symbols in paths, which JSON lacks. */
const plainIssue = ({ message, path }: Issue): Issue =>
  path === undefined ? { message } : { message, path: path.map((key) => (typeof key === 'symbol' ? String(key) : key)) }
