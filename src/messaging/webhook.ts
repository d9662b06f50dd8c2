import { DefinitionError } from '../errors.ts'
import type { CloudEvent } from '../publications/cloud-event.ts'
import { permanent, type Target } from '../publications/target.ts'
import { platformRuntime } from '../runtime.ts'
import { checkFunction, checkOptions, checkWholeNumber } from '../util/options.ts'
import { attributesOf, encodeHeader } from './headers.ts'
import { commonOf } from './options.ts'

/** Options of `webhook`. */
export interface WebhookOptions {
  /** Secret of Standard Webhooks, base64 with or without `whsec_`. Default: no signature. */
  readonly secret?: string
  /** Headers of each request, such as `authorization`. */
  readonly headers?: Readonly<Record<string, string>>
  /** Function that sends a request. Default: the platform's `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** Returns the time of the signature. Default: the platform's clock. */
  readonly now?: () => Date
  /** Requests in parallel, of different aggregates. Default 8. */
  readonly calls?: number
  /** Name of the target. Default: `webhook:<host><path>`. */
  readonly name?: string
  /** Bytes of one message. Default 1,000,000. */
  readonly mostBytes?: number
}

/** Statuses of a receiver that is not available. */
const away = [429, 502, 503, 504]
/** Statuses below 500 that may succeed later. */
const temporary = [408, 409, 425]

/**
 * Publishes CloudEvents by HTTP POST, in binary mode, signed as Standard Webhooks define.
 *
 * Requests of one `partitionkey` follow one another, so they stay in order. A status of 2xx
 * acknowledges a message. All events wait after 429, 502, 503, 504 and network errors. After 408, 409, 425 and any
 * other 5xx, the message is retried; after any other status, it is not. Redirects are not followed.
 *
 * @throws DefinitionError for wrong options
 *
 * @example
 * ```ts no-run
 * import { webhook } from 'cqrs-es/messaging'
 *
 * export const target = webhook('https://partner.example.com/hooks', {
 *   secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
 * })
 * ```
 */
export function webhook(url: string, options: WebhookOptions = {}): Target {
  checkOptions('webhook', options, ['secret', 'headers', 'fetch', 'now', 'calls', 'name', 'mostBytes'])
  const { name, mostBytes } = commonOf('webhook', options, 1_000_000)
  const { secret, headers = {}, fetch: send = fetch, now = platformRuntime.now, calls = 8 } = options
  const { host, pathname } = parsed(url)
  checkFunction('webhook: fetch', send)
  checkFunction('webhook: now', now)
  checkWholeNumber('webhook: calls', calls, 1)
  const signed = secret === undefined ? undefined : signing(secret)
  return {
    name: name ?? `webhook:${host}${pathname}`,
    keeps: 'one-per-key',
    most: { messages: 1, bytes: mostBytes },
    calls,
    send: async ([message], { signal }) => {
      if (message === undefined) return
      const body = JSON.stringify(message.data)
      const own = { ...headersOf(message), ...(await signed?.(encodeHeader(message.id), now(), body)) }
      const init = { method: 'POST', redirect: 'manual', headers: { ...headers, ...own }, body, signal } as const
      const response = await send(url, init)
      await response.body?.cancel()
      const { status } = response
      if (status >= 200 && status < 300) return
      const said = `The webhook ${host}${pathname} answered ${status} for event ${message.id}.`
      if (away.includes(status)) throw new Error(said)
      return [status >= 500 || temporary.includes(status) ? new Error(said) : permanent(said)]
    },
  }
}

const headersOf = (message: CloudEvent): Record<string, string> => ({
  'content-type': 'application/json',
  ...Object.fromEntries(attributesOf(message).map(([name, value]) => [`ce-${name}`, encodeHeader(value)])),
})

function parsed(url: unknown): URL {
  try {
    const found = new URL(url as string)
    if (/^https?:$/.test(found.protocol)) return found
  } catch {}
  throw new DefinitionError('webhook: the first argument must be an http or https URL.')
}

/** Returns a function that signs a message. @throws DefinitionError */
function signing(secret: unknown): (id: string, at: Date, body: string) => Promise<Record<string, string>> {
  let bytes: Uint8Array<ArrayBuffer> | undefined
  try {
    bytes = Uint8Array.from(atob((secret as string).replace(/^whsec_/, '')), (character) => character.charCodeAt(0))
  } catch {}
  if (bytes === undefined || bytes.length === 0)
    throw new DefinitionError('webhook: secret must be base64, with or without whsec_ before it.')
  let key: Promise<CryptoKey> | undefined
  return async (id, at, body) => {
    // biome-ignore lint/style/noRestrictedGlobals: a signature is the same at every run
    const { subtle } = crypto
    key ??= subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
    const timestamp = String(Math.floor(at.getTime() / 1_000))
    const signature = await subtle.sign('HMAC', await key, new TextEncoder().encode(`${id}.${timestamp}.${body}`))
    const text = btoa(String.fromCharCode(...new Uint8Array(signature)))
    return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${text}` }
  }
}
