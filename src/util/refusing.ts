import { isObject } from './json.ts'

/** Whether a value is a promise, or something else that is awaited. */
export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  (isObject(value) || typeof value === 'function') && typeof (value as { then?: unknown }).then === 'function'

/**
 * Catches all promises in a refused value, and returns the error. The first reason becomes the
 * error's `cause`. An uncaught rejection would end the process. Other thenables are left alone: a
 * query builder starts its work when `then` is called.
 */
export function refusing<E extends Error>(error: E, value: unknown): E {
  let isFirst = true
  const note = (reason: unknown) => {
    if (isFirst) Object.defineProperty(error, 'cause', { value: reason, configurable: true, writable: true })
    isFirst = false
  }
  for (const promise of promisesIn(value)) promise.then(undefined, note)
  return error
}

/** All promises in lists and objects, in order. Calls no getter. */
function* promisesIn(value: unknown): Generator<Promise<unknown>, void, undefined> {
  const seen = new Set<object>()
  const left: unknown[] = [value]
  while (left.length > 0) {
    const next = left.pop()
    if (!isObject(next) || seen.has(next)) continue
    seen.add(next)
    if (isPromise(next)) yield next
    else
      left.push(
        ...Object.values(Object.getOwnPropertyDescriptors(next))
          .map((property) => property.value)
          .reverse(),
      )
  }
}

/** Also one of another realm, such as a `vm` context. */
export const isPromise = (value: unknown): value is Promise<unknown> =>
  value instanceof Promise || Object.prototype.toString.call(value) === '[object Promise]'
