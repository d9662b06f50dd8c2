import { callHook } from './call-hook.ts'
import type { Authorization, HttpAction } from './options.ts'
import { HttpProblem } from './responses.ts'
import type { HttpSetup } from './setup.ts'

/** One request. */
export interface RequestContext {
  readonly request: Request
  readonly url: URL
  /** The second argument of the handler. */
  readonly platform: unknown
}

/** The authenticated caller. @throws HttpProblem 401 or 403 */
export async function authorized(setup: HttpSetup, context: RequestContext, action: HttpAction): Promise<unknown> {
  const verdict = await authorize(setup, context, action)
  if (verdict.ok) return verdict.caller
  throw refusal(verdict)
}

/** Whether the caller may do this, for parts of a response. */
export const isAllowed = async (setup: HttpSetup, context: RequestContext, action: HttpAction): Promise<boolean> =>
  (await authorize(setup, context, action)).ok

type Refused = Extract<Authorization<unknown>, { readonly ok: false }>

/** The response to a refusal. */
export const refusal = ({ status, detail, challenge = 'Bearer' }: Refused): HttpProblem =>
  status === 401
    ? new HttpProblem(401, detail ?? 'Authentication required.', { 'WWW-Authenticate': challenge })
    : new HttpProblem(403, detail ?? 'You are not allowed to do this.')

/** Returns the checked result of the `authorize` option. */
export async function authorize(
  { options: { authorize } }: HttpSetup,
  { request, platform }: RequestContext,
  action: HttpAction,
): Promise<Authorization<unknown>> {
  if (authorize === 'none') return everybody
  return callHook('authorize', request, async () => {
    const verdict = await authorize(request, action, platform)
    if (verdict?.ok === true || (verdict?.ok === false && isRefusal(verdict))) return verdict
    throw new TypeError('it must return { ok: true, caller }, or { ok: false, status: 401 | 403 } with texts.')
  })
}

const everybody: Authorization<unknown> = { ok: true, caller: undefined }

function isRefusal({ status, detail, challenge = '' }: Refused): boolean {
  if ((status !== 401 && status !== 403) || (detail !== undefined && typeof detail !== 'string')) return false
  try {
    new Headers({ 'WWW-Authenticate': challenge })
    return true
  } catch {
    return false
  }
}
