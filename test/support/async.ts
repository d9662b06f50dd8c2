/** All items of an asynchronous iterable. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** The error of a promise; fails if it does not reject. */
export async function failureOf(promise: Promise<unknown>): Promise<Record<string, unknown> & Error> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('error' in outcome) return outcome.error as Record<string, unknown> & Error
  throw new Error(`It did not fail but gave ${JSON.stringify(outcome.value)}`)
}

/** The error of a function; fails if it does not throw. */
export function thrownBy(run: () => unknown): Record<string, unknown> & Error {
  let value: unknown
  try {
    value = run()
  } catch (error) {
    return error as Record<string, unknown> & Error
  }
  throw new Error(`It did not throw but gave ${String(value)}`)
}

/** A gate where calls wait until it opens. `reached` resolves when the first call waits. */
export function gate() {
  let open = () => {}
  let arrive = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  const reached = new Promise<void>((resolve) => {
    arrive = resolve
  })
  const pass = () => {
    arrive()
    return opened
  }
  return { open, reached, pass }
}

/** Lets all work run that needs no timer. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve))
