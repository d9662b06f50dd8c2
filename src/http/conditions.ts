import { ValidationError } from '../errors.ts'
import type { ExecuteOptions } from '../execution/call.ts'
import { names, sequenceIn } from './etags.ts'
import { secondsToWait } from './prefer.ts'
import { HttpProblem } from './responses.ts'

/** Returns the call options in the headers of a command. @throws ValidationError */
export function optionsOf({ headers, signal }: Request, waitFor: readonly string[]): ExecuteOptions {
  const idempotencyKey = headers.get('Idempotency-Key')
  const expectedSequence = expectedBy(headers)
  const seconds = waitFor.length === 0 ? undefined : secondsToWait(headers)
  return {
    signal,
    ...(idempotencyKey === null ? {} : { idempotencyKey }),
    ...(expectedSequence === undefined ? {} : { expectedSequence }),
    ...(seconds === undefined ? {} : { waitFor, timeoutMs: seconds * 1_000 }),
  }
}

/**
 * `If-Match: "3"`: only if the sequence is still 3. `If-None-Match: *`: only if there are no events
 * yet.
 */
function expectedBy(headers: Headers): number | undefined {
  const match = headers.get('If-Match')
  const noneMatch = headers.get('If-None-Match')
  if (noneMatch !== null && noneMatch !== '*') throw new ValidationError('With a command, If-None-Match can only be *.')
  if (match === null) return noneMatch === null ? undefined : 0
  const sequence = sequenceIn(match)
  if (sequence === undefined || noneMatch !== null)
    throw new ValidationError(
      'With a command, If-Match must be the one ETag of an aggregate, in its quotes, and without If-None-Match.',
    )
  return sequence
}

/**
 * Whether the client already has the state with this ETag.
 *
 * RFC 9110, section 13.2.2: If-Match is checked first.
 *
 * @throws HttpProblem 412 if the client requires another ETag
 */
export function hasAlready(headers: Headers, etag: string): boolean {
  const match = headers.get('If-Match')
  if (match !== null && !names(match, etag)) throw new HttpProblem(412, `The current ETag is ${etag}.`)
  const noneMatch = headers.get('If-None-Match')
  return noneMatch !== null && names(noneMatch, etag)
}
