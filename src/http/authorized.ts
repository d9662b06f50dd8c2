import { HttpProblem } from './answers.ts'
import type { Authorization, HttpAction } from './options.ts'
import { serverSays } from './server-says.ts'
import type { HttpSetup } from './setup.ts'

/** One request. */
export interface Asked {
  readonly request: Request
  readonly url: URL
  /** What the handler was called with besides. */
  readonly platform: unknown
}

/** Who asks. @throws HttpProblem when he may not */
export async function authorized(setup: HttpSetup, asked: Asked, action: HttpAction): Promise<unknown> {
  const verdict = await verdictOn(setup, asked, action)
  if (verdict.ok) return verdict.caller
  throw refusal(verdict)
}

/** Whether he may, where nothing but a part of the answer depends on it. */
export const may = async (setup: HttpSetup, asked: Asked, action: HttpAction): Promise<boolean> =>
  (await verdictOn(setup, asked, action)).ok

type Refused = Extract<Authorization<unknown>, { readonly ok: false }>

/** How a refusal is told. */
export const refusal = ({ status, detail, challenge = 'Bearer' }: Refused): HttpProblem =>
  status === 401
    ? new HttpProblem(401, detail ?? 'Say who you are.', { 'WWW-Authenticate': challenge })
    : new HttpProblem(403, detail ?? 'You may not do this.')

/** What `authorize` says, if it says anything. */
export async function verdictOn(
  { options: { authorize } }: HttpSetup,
  { request, platform }: Asked,
  action: HttpAction,
): Promise<Authorization<unknown>> {
  if (authorize === 'none') return everybody
  return serverSays('authorize', request, async () => {
    const verdict = await authorize(request, action, platform)
    if (verdict?.ok === true || (verdict?.ok === false && isRefusal(verdict))) return verdict
    throw new TypeError('it must answer { ok: true, caller }, or { ok: false, status: 401 | 403 } with texts.')
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
