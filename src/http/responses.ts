import { type CqrsErrorCode, type Issue, isCqrsError } from '../errors.ts'

/** Which failure is which status; a rejection is no failure, and 422. */
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

/** An answer that was decided before the app was asked: what the request itself lacks. */
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

/** An answer in JSON. */
export const answer = (body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', ...always, ...headers } })

/** An answer that comes piece by piece. */
export const streamed = (body: ReadableStream<Uint8Array>, headers: Readonly<Record<string, string>> = {}): Response =>
  new Response(body, { status: 200, headers: { 'Content-Type': 'application/json', ...always, ...headers } })

/** What the caller has already is as it was. */
export const notModified = (etag: string): Response => new Response(null, { status: 304, headers: { ETag: etag, ...always } })

interface ProblemMembers {
  readonly detail: string
  readonly code?: CqrsErrorCode
  readonly reason?: string
  readonly details?: unknown
  readonly issues?: readonly Issue[]
  readonly actualSequence?: number
}

/** An answer in the form of RFC 9457, problem details. */
export const problem = (status: number, members: ProblemMembers, headers: Readonly<Record<string, string>> = {}): Response =>
  answer({ title: titles[status] ?? 'Error', status, ...members }, status, {
    'Content-Type': 'application/problem+json',
    ...headers,
  })

const again = { 'Retry-After': '1' }

interface About {
  readonly request: Request
  /** A handler or a schema of the app's has thrown it: it says nothing about this command, though it may say that this is not the time. */
  readonly isForeign: boolean
  readonly report: (error: unknown) => void
}

/** Says what the caller can mend, keeps to ourselves what only we can, and reports that. */
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
    // RFC 9110, section 13.1.1: what a precondition of the request's refuses is no conflict that waiting would help.
    return problem(412, { detail, ...code, ...(actualSequence === undefined ? {} : { actualSequence }) })
  }
  // Of a command that is stored that is an answer, and given elsewhere. Here nothing is known to be stored.
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

/** Our fault, about which there is nothing to say. */
export const answerFault = (): Response => problem(500, { detail: ourFault })

/** The request's signal has aborted before anything was stored: because time is up, or because nobody is there any more to read an answer. */
export const answerAborted = (reason: unknown): Response =>
  (reason as { name?: unknown } | undefined)?.name === 'TimeoutError'
    ? problem(503, { detail: notNow }, again)
    : new Response(null, { status: 499 })

const notNow = 'This cannot be answered at the moment. Try again, with the same Idempotency-Key if there was one.'
const ourFault = 'Something is wrong on our side. It has been reported.'

/** JSON has no symbols. */
const plainIssue = ({ message, path }: Issue): Issue =>
  path === undefined ? { message } : { message, path: path.map((key) => (typeof key === 'symbol' ? String(key) : key)) }
