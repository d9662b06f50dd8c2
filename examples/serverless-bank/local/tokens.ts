/** Issuer and audience of the tokens of the local run. */
export const issuer = 'https://tokens.localhost/'
export const audience = 'bank'

/**
 * A token for the local run. It is not signed: every program on this machine can make one, and no
 * API Gateway accepts it.
 */
export function localToken(user: string, scope = 'bank/read bank/write', seconds = 24 * 60 * 60): string {
  const now = Math.floor(Date.now() / 1_000)
  const claims = { iss: issuer, aud: audience, sub: user, scope, iat: now, exp: now + seconds }
  return `${encoded({ alg: 'none', typ: 'JWT' })}.${encoded(claims)}.unsigned`
}

/**
 * The claims of a token, as the JWT authorizer of API Gateway passes them on: all as text.
 * `undefined` for a token that it refuses. Only signatures are not checked.
 */
export function claimsOf(authorization: string | undefined): Record<string, string> | undefined {
  const [, payload] = /^(?:Bearer )?[\w-]+\.([\w-]+)\.[\w-]*$/i.exec(authorization ?? '') ?? []
  if (payload === undefined) return undefined
  try {
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
    const { iss, aud, exp } = claims
    const isFresh = typeof exp === 'number' && exp > Date.now() / 1_000
    if (iss !== issuer || ![aud].flat().includes(audience) || !isFresh) return undefined
    return Object.fromEntries(Object.entries(claims).map(([name, value]) => [name, textOf(value)]))
  } catch {
    return undefined
  }
}

const textOf = (value: unknown): string => (Array.isArray(value) ? `[${value.join(' ')}]` : String(value))

const encoded = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')
