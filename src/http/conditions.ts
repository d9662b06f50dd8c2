import { ValidationError } from '../errors.ts'
import type { ExecuteOptions } from '../execution/call.ts'

/** What the headers of a command say about it. @throws ValidationError */
export function optionsOf({ headers, signal }: Request, waitFor: readonly string[]): ExecuteOptions {
  const idempotencyKey = headers.get('Idempotency-Key')
  const expectedSequence = expectedBy(headers)
  return {
    signal,
    ...(idempotencyKey === null ? {} : { idempotencyKey }),
    ...(expectedSequence === undefined ? {} : { expectedSequence }),
    ...waitBy(headers, waitFor),
  }
}

/** `If-Match: "3"`: only if nothing has happened since. `If-None-Match: *`: only if there is no such aggregate yet. */
function expectedBy(headers: Headers): number | undefined {
  const match = headers.get('If-Match')
  const noneMatch = headers.get('If-None-Match')
  if (noneMatch !== null && noneMatch !== '*') throw new ValidationError('With a command, If-None-Match can only be *.')
  if (match === null) return noneMatch === null ? undefined : 0
  const [, sequence] = /^"(\d{1,15})"$/.exec(match) ?? []
  if (sequence === undefined || noneMatch !== null)
    throw new ValidationError(
      'With a command, If-Match must be the one ETag of an aggregate, in its quotes, and without If-None-Match.',
    )
  return Number(sequence)
}

/** `Prefer: wait=5` (RFC 7240): the answer comes when the views show the command, or after so many seconds. */
function waitBy(headers: Headers, waitFor: readonly string[]): ExecuteOptions {
  if (waitFor.length === 0) return {}
  const [, seconds] = /(?:^|[,;\s])wait=(\d{1,2})(?:$|[,;\s])/.exec(headers.get('Prefer') ?? '') ?? []
  return seconds === undefined ? {} : { waitFor, timeoutMs: Number(seconds) * 1_000 }
}

export const etagOf = (sequence: number): string => `"${sequence}"`

/** Whether the caller has what has this ETag already (RFC 9110, section 13.1.2: compared weakly). */
export const has = (headers: Headers, etag: string): boolean =>
  (headers.get('If-None-Match') ?? '').split(',').some((one) => one.trim().replace(/^W\//, '') === etag)
