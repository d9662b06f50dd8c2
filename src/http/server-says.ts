import { messageOf } from '../errors.ts'

/** What a function of the server's answers, checked. What it throws is a fault of the server, whatever it looks like; but for the reason of the request's signal. */
export async function serverSays<T>(name: string, { signal }: Request, ask: () => T | Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (cause) {
    if (signal.aborted && cause === signal.reason) throw cause
    throw new Error(`${name} failed: ${messageOf(cause)}`, { cause })
  }
}
