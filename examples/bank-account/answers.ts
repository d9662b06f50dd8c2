import { type CqrsErrorCode, isCqrsError } from 'cqrs-es'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'

/** Which failure is which status. A refused command is no failure: that is 422 with the domain's reason. */
const statuses: Readonly<Record<CqrsErrorCode, ContentfulStatusCode>> = {
  VALIDATION: 400,
  CONFLICT: 409,
  NOT_YET: 202,
  STOPPED: 503,
  VIEW_OUTDATED: 503,
  STORE_LIMIT: 413,
  IDEMPOTENCY: 422,
  STORE_BUSY: 503,
  STORE_UNAVAILABLE: 503,
  STORE_FULL: 503,
  STORE_READ_ONLY: 503,
  STORE_CORRUPT: 503,
  STORE_BEHIND: 503,
  SCHEMA_MISSING: 503,
  SCHEMA_TOO_NEW: 503,
  OUTCOME_UNKNOWN: 503,
  OVERLOADED: 503,
  CLOSED: 503,
  STORE_FAILED: 500,
  DESERIALIZATION: 500,
  INVALID_EVENT: 500,
  APPLY: 500,
  DEFINITION: 500,
}

/** An answer in JSON, laid out for people who read it in a terminal. */
export function answer(c: Context, body: object, status: ContentfulStatusCode = 200, type = 'application/json') {
  return c.body(`${JSON.stringify(body, null, 2)}\n`, status, { 'Content-Type': type })
}

/** What came of a command. */
export function answerAccepted(c: Context, { sequence, events, replayed }: Outcome, status: ContentfulStatusCode = 200) {
  c.header('ETag', `"${sequence}"`)
  return answer(c, { sequence, events, replayed }, status)
}

interface Outcome {
  readonly sequence: number
  readonly events: readonly object[]
  readonly replayed: boolean
}

/** An answer in the form of RFC 9457, `application/problem+json`. */
export function problem(
  c: Context,
  status: ContentfulStatusCode,
  members: { readonly detail: string; [member: string]: unknown },
) {
  return answer(c, { title: titles[status] ?? 'Error', status, ...members }, status, 'application/problem+json')
}

/** Says what the caller can mend, keeps to ourselves what only we can, and logs that. */
export function answerError(error: unknown, c: Context, log: (error: unknown) => void) {
  if (error instanceof HTTPException) return problem(c, error.status as ContentfulStatusCode, { detail: error.message })
  if (isCqrsError(error, 'NOT_YET')) return answerAccepted(c, error.result as Outcome, 202)
  const status = isCqrsError(error) ? statuses[error.code] : 500
  const code = isCqrsError(error) ? { code: error.code } : {}
  if (isCqrsError(error) && status < 500) {
    const issues = isCqrsError(error, 'VALIDATION') ? { issues: error.issues } : {}
    return problem(c, status, { detail: error.message, ...code, ...issues })
  }
  log(error)
  if (status === 503) c.header('Retry-After', '1')
  return problem(c, status, { detail: status === 503 ? tryAgain : ourFault, ...code })
}

const tryAgain = 'The bank cannot answer at the moment. Try again, with the same Idempotency-Key if you sent one.'
const ourFault = 'Something is wrong on our side. It has been logged.'

const titles: Readonly<Partial<Record<ContentfulStatusCode, string>>> = {
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}
