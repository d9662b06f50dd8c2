interface Scope<T> {
  run<R>(value: T, task: () => R): R
  getStore(): T | undefined
  /** Costs nothing until the next `run`; calls in progress lose their value. */
  disable(): void
}

interface Platform {
  readonly process?: {
    getBuiltinModule?(name: string): { readonly AsyncLocalStorage?: new <T>() => Scope<T> } | undefined
  }
}

/**
 * A value that belongs to a call and to all that follows from it, also after `await`: by the
 * platform's `AsyncLocalStorage`. On a platform without one it is known until the call first waits.
 */
export function asyncScope<T>(): Scope<T> {
  const { process } = globalThis as Platform
  const Known = process?.getBuiltinModule?.('node:async_hooks')?.AsyncLocalStorage
  if (Known === undefined) return untilItWaits<T>()
  const scope = new Known<T>()
  return {
    run: (value, task) => scope.run(value, task),
    getStore: () => scope.getStore(),
    disable: () => {
      // Cloudflare Workers throw here, and need no relief: their promises keep the scope at no cost.
      try {
        scope.disable()
      } catch {}
    },
  }
}

function untilItWaits<T>(): Scope<T> {
  let current: T | undefined
  return {
    getStore: () => current,
    disable: () => {},
    run: (value, task) => {
      const before = current
      current = value
      try {
        return task()
      } finally {
        current = before
      }
    },
  }
}
