import type { APIGatewayProxyEventV2WithJWTAuthorizer } from 'aws-lambda'
import type { Authorization, HttpAction } from 'cqrs-es/http'

export interface Caller {
  readonly userId: string
}

/**
 * Permissions of callers: a token with the scope `bank/read` may read, one with `bank/write` may
 * send commands. API Gateway has checked its signature, issuer, audience and time, and passes its
 * claims in the event.
 */
export function authorize(
  _request: Request,
  { kind }: Pick<HttpAction, 'kind'>,
  event: APIGatewayProxyEventV2WithJWTAuthorizer | undefined,
): Authorization<Caller> {
  const { sub, scope } = event?.requestContext.authorizer?.jwt?.claims ?? {}
  if (typeof sub !== 'string' || sub === '') return { ok: false, status: 401, detail: 'The token has no subject (sub).' }
  const needed = kind === 'command' ? 'bank/write' : 'bank/read'
  const scopes = typeof scope === 'string' ? scope.split(' ') : []
  if (!scopes.includes(needed)) return { ok: false, status: 403, detail: `This requires a token with the scope ${needed}.` }
  return { ok: true, caller: { userId: sub } }
}
