import { type ExecuteOptions, ValidationError } from 'cqrs-es'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'

/** The body as it came: `execute` checks the data. */
export async function readCommand<C extends { readonly type: string }>(c: Context, allowed: readonly C['type'][]): Promise<C> {
  const mediaType = c.req.header('Content-Type')?.split(';')[0]?.trim().toLowerCase()
  if (mediaType !== 'application/json') throw new HTTPException(415, { message: 'Send the command as application/json.' })
  const command = parseJson(await c.req.text())
  if (typeof command?.type === 'string' && !allowed.includes(command.type))
    throw new ValidationError(`Commands here are ${allowed.join(', ')}, not '${command.type}'.`)
  return command
}

function parseJson(text: string) {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ValidationError('The body is not JSON.', undefined, cause)
  }
}

export function executeOptions(c: Context): ExecuteOptions {
  const idempotencyKey = c.req.header('Idempotency-Key')
  const expectedSequence = expectedBy(c)
  return {
    metadata: {
      time: new Date().toISOString(),
      uri: pathOf(c),
      userAgent: c.req.header('User-Agent') ?? '',
    },
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    ...(expectedSequence === undefined ? {} : { expectedSequence }),
    ...waitBy(c),
  }
}

/** `Prefer: wait=5` (RFC 7240): the answer comes when the day shows the command too, or after so many seconds, with 202. */
function waitBy(c: Context): ExecuteOptions {
  const [, seconds] = /(?:^|[,\s])wait=(\d{1,2})(?:$|[,;\s])/.exec(c.req.header('Prefer') ?? '') ?? []
  return seconds === undefined ? {} : { waitFor: ['days'], timeoutMs: Number(seconds) * 1_000 }
}

/** `If-Match: "3"`: only if nothing has happened since. `If-None-Match: *`: only if the account is new. */
function expectedBy(c: Context): number | undefined {
  const match = c.req.header('If-Match')
  const noneMatch = c.req.header('If-None-Match')
  if (noneMatch !== undefined && noneMatch !== '*') throw new ValidationError('If-None-Match can be * with a command.')
  if (match === undefined) return noneMatch === undefined ? undefined : 0
  const [, sequence] = /^"(\d{1,15})"$/.exec(match) ?? []
  if (sequence === undefined || noneMatch !== undefined)
    throw new ValidationError('If-Match must be the one ETag of an account, in its quotes, without an If-None-Match.')
  return Number(sequence)
}

export function wholeNumber(c: Context, name: string, { least, most = Number.MAX_SAFE_INTEGER, otherwise }: Bounds): number {
  const text = c.req.query(name)
  if (text === undefined) return otherwise
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new ValidationError(`The parameter ${name} must be a whole number from ${least} to ${most}.`)
}

interface Bounds {
  readonly least: number
  readonly most?: number
  readonly otherwise: number
}

export const pathOf = (c: Context): string => {
  const { pathname, search } = new URL(c.req.url)
  return pathname + search
}
