/**
 * Reads once for all who ask at the same time, or while an earlier read is in flight. Each answer
 * was read after it was asked for.
 */
export function together<T>(read: () => Promise<T>): () => Promise<T> {
  let inFlight: Promise<unknown> = Promise.resolve()
  let next: Promise<T> | undefined
  const begin = () => {
    next = undefined
    const reading = read()
    inFlight = reading
    return reading
  }
  return () => {
    next ??= inFlight.then(begin, begin)
    return next
  }
}
