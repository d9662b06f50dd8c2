import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'

export type Client = ReturnType<typeof clientOf>

interface ClientOptions {
  readonly url: string
  readonly tally: { repeats: number }
  readonly signal: AbortSignal
}

// biome-ignore lint/suspicious/noExplicitAny: whatever the bank says; it is looked at afterwards
type Body = any

const unavailable = 503
const waitMs = 100

/**
 * Client of a bank. Retries while the bank is unavailable; the idempotency key makes that harmless.
 */
export function clientOf({ url, tally, signal }: ClientOptions) {
  async function send(path: string, init: RequestInit): Promise<Body> {
    for (;;) {
      signal.throwIfAborted()
      const response = await fetch(`${url}${path}`, init)
      const text = await response.text()
      if (response.ok) return JSON.parse(text)
      if (response.status !== unavailable) throw new Error(`${init.method} ${path} was answered with ${text}`)
      tally.repeats++
      await setTimeout(waitMs)
    }
  }
  return {
    get: (path: string) => send(path, { method: 'GET' }),
    /** The path names the command, the body has its data. */
    command: (path: string, data: object) =>
      send(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'Idempotency-Key': randomUUID() },
        body: JSON.stringify(data),
      }),
  }
}
