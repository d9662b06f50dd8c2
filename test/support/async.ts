/** All that an asynchronous iterable gives. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** What a promise rejects with; fails when it does not. */
export async function failureOf(promise: Promise<unknown>): Promise<Record<string, unknown> & Error> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('error' in outcome) return outcome.error as Record<string, unknown> & Error
  throw new Error(`It did not fail but gave ${JSON.stringify(outcome.value)}`)
}

/** What a function throws; fails when it does not. */
export function thrownBy(run: () => unknown): Record<string, unknown> & Error {
  let value: unknown
  try {
    value = run()
  } catch (error) {
    return error as Record<string, unknown> & Error
  }
  throw new Error(`It did not throw but gave ${String(value)}`)
}

/** A door that whoever passes waits at until it is opened; `reached` resolves when the first one stands there. */
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

/** Lets everything run that needs no timer. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve))
