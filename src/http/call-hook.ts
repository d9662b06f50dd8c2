import { messageOf } from '../errors.ts'

/** Calls a user hook. Whatever it throws becomes a 500, except the request's abort reason. */
export async function callHook<T>(name: string, { signal }: Request, ask: () => T | Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (cause) {
    if (signal.aborted && cause === signal.reason) throw cause
    throw new Error(`${name} failed: ${messageOf(cause)}`, { cause })
  }
}
