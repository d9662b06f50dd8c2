import { DefinitionError } from '../errors.ts'
import { isObject } from '../util/json.ts'
import { fromBase64 } from './base64.ts'
import { kindOfEvent } from './event-kind.ts'

/** The used part of a request from a Function URL or an HTTP API (payload format 2.0). */
export interface HttpEvent {
  /** Payload format, `'2.0'`. */
  readonly version: string
  /**
   * Path: encoded from a Function URL, decoded from an HTTP API. Default:
   * `requestContext.http.path`.
   */
  readonly rawPath?: string | undefined
  /** Query without the question mark. Default: from `queryStringParameters`. */
  readonly rawQueryString?: string | undefined
  /** Decoded parameters. Several of one name are joined by commas. */
  readonly queryStringParameters?: Readonly<Record<string, string | undefined>> | null | undefined
  /** Headers. Several of one name are joined by commas. Default: none. */
  readonly headers?: Readonly<Record<string, string | undefined>> | null | undefined
  /** The contents of the `cookie` header. */
  readonly cookies?: readonly string[] | null | undefined
  readonly body?: string | null | undefined
  /** Whether the body is base64. Default `false`. */
  readonly isBase64Encoded?: boolean | undefined
  readonly requestContext: {
    /**
     * Host. Default: the `host` header, else `localhost`. Tells a Function URL from an HTTP API.
     */
    readonly domainName?: string | undefined
    /** Stage: `$default`, or the first segment of the path. Default `$default`. */
    readonly stage?: string | undefined
    readonly http: { readonly method: string; readonly path?: string | undefined }
  }
}

/** A malformed request. The message is for the client. */
export class BadRequest extends Error {}

/** @throws DefinitionError that names the received event, and says what to do */
export function checkHttpEvent(event: HttpEvent): void {
  const { version, rawPath, requestContext } = isObject(event) ? event : ({} as Partial<HttpEvent>)
  const context: Partial<HttpEvent['requestContext']> = requestContext ?? {}
  if (version === '2.0' && isObject(context.http)) {
    const { method, path } = context.http
    const missing = [
      ...(typeof method === 'string' ? [] : ['requestContext.http.method']),
      ...(typeof (rawPath ?? path) === 'string' ? [] : ['rawPath']),
    ]
    if (missing.length === 0) return
    throw new DefinitionError(`onHttp received ${kindOfEvent(event)} without the text ${missing.join(' and ')}.`)
  }
  const advice =
    version === '1.0'
      ? 'Set the payload format of its integration to 2.0.'
      : 'Put an HTTP API or a Function URL in front of the function.'
  throw new DefinitionError(
    `onHttp takes requests of an HTTP API in the payload format 2.0 and of a Function URL, but got ${kindOfEvent(event)}. ${advice}`,
  )
}

/** Returns the request, or the reason why it is malformed. */
export function toRequest(event: HttpEvent, signal: AbortSignal): Request | BadRequest {
  const { method } = event.requestContext.http
  try {
    const url = as('The URL', () => toUrl(event))
    const headers = toHeaders(event)
    const body = method === 'GET' || method === 'HEAD' ? null : toBody(event)
    return as('The method', () => new Request(url, { method, headers, body, signal }))
  } catch (error) {
    if (error instanceof BadRequest) return error
    throw error
  }
}

function toUrl(event: HttpEvent): URL {
  const host = hostOf(event)
  if (!/^(\[[\da-f:.]+\]|[\w.-]+)(:\d+)?$/i.test(host)) throw new BadRequest('The host is malformed.')
  const url = new URL(`https://${host}${toPath(event, host)}`)
  url.search = event.rawQueryString ?? toQuery(event.queryStringParameters ?? {})
  return url
}

/** Events made by hand, or by an emulator of AWS, often have no domain name. */
function hostOf({ requestContext: { domainName }, headers }: HttpEvent): string {
  const sent = Object.entries(headers ?? {}).find(([name]) => name.toLowerCase() === 'host')
  return domainName ?? sent?.[1] ?? 'localhost'
}

function toQuery(parameters: NonNullable<HttpEvent['queryStringParameters']>): string {
  const given = Object.entries(parameters).filter((parameter): parameter is [string, string] => parameter[1] !== undefined)
  return new URLSearchParams(given).toString()
}

/**
 * Returns the path without the stage, with all characters encoded that need it.
 *
 * An HTTP API has decoded the path, so it may hold any character. Segments of dots are refused: a
 * URL would resolve them, and lead to another path than the one that chose the route.
 */
function toPath({ rawPath: raw, requestContext: { stage: named, http } }: HttpEvent, host: string): string {
  const rawPath = (raw ?? http.path) as string
  const stage = named ?? '$default'
  // A sequence that still looks encoded was encoded twice: it is literal text.
  const isDecoded = !host.includes('.lambda-url.')
  const isStaged = stage !== '$default' && (rawPath === `/${stage}` || rawPath.startsWith(`/${stage}/`))
  const path = (isStaged ? rawPath.slice(stage.length + 1) : rawPath)
    .replace(isDecoded ? /%/g : /%(?![0-9a-f]{2})/gi, '%25')
    .replace(/[^\w\-.~!$&'()*+,;=:@/%]+/g, encodeURIComponent)
  if (path.split('/').some((segment) => /^(\.|%2e){1,2}$/i.test(segment))) throw new BadRequest('The path has dot segments.')
  return path.startsWith('/') ? path : `/${path}`
}

function toHeaders({ headers: given, cookies }: HttpEvent): Headers {
  const headers = new Headers()
  const all = cookies != null && cookies.length > 0 ? { ...given, cookie: cookies.join('; ') } : given
  for (const [name, value] of Object.entries(all ?? {}))
    if (value != null) as(`The header '${name}'`, () => headers.set(name, toBytes(value)))
  return headers
}

/** Headers are bytes. Text beyond Latin-1 was UTF-8, and becomes its bytes, as on any server. */
const toBytes = (value: string): string =>
  /[^\0-\xff]/.test(value) ? String.fromCharCode(...new TextEncoder().encode(value)) : value

function toBody({ body, isBase64Encoded }: HttpEvent): Uint8Array<ArrayBuffer> | null {
  if (body === undefined || body === null || body === '') return null
  // Bytes, because a text would add a content type to a request without one.
  const bytes = isBase64Encoded ? fromBase64(body) : new TextEncoder().encode(body)
  if (bytes === undefined) throw new BadRequest('The body is not base64.')
  return bytes
}

/** Reports any error as the fault of this part of the request. */
function as<T>(part: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    throw error instanceof BadRequest ? error : new BadRequest(`${part} is malformed.`, { cause: error })
  }
}
