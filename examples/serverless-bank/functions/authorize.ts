import type { Authorization, HttpAction } from 'cqrs-es/http'

export interface Caller {
  readonly userId: string
}

/** Who may do what: a token with the scope `bank/read` may look, one with `bank/write` may give commands. */
export function authorize(request: Request, { kind }: Pick<HttpAction, 'kind'>): Authorization<Caller> {
  const { sub, scope } = claimsOf(request.headers.get('Authorization') ?? '')
  if (typeof sub !== 'string' || sub === '') return { ok: false, status: 401, detail: 'The token does not say whose it is.' }
  const needed = kind === 'command' ? 'bank/write' : 'bank/read'
  const scopes = typeof scope === 'string' ? scope.split(' ') : []
  if (!scopes.includes(needed)) return { ok: false, status: 403, detail: `This takes a token with the scope ${needed}.` }
  return { ok: true, caller: { userId: sub } }
}

/** What the token says. API Gateway has checked its signature, issuer, audience and time, and nobody else may call the function. */
function claimsOf(authorization: string): { readonly sub?: unknown; readonly scope?: unknown } {
  const [, payload = ''] = /^(?:Bearer )?[\w-]+\.([\w-]+)\./i.exec(authorization) ?? []
  try {
    return JSON.parse(Buffer.from(payload, 'base64url').toString()) ?? {}
  } catch {
    return {}
  }
}
