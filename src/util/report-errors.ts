import { isPromise } from './refusing.ts'

/**
 * Wraps an observer so that its errors are reported, together with its arguments, and never reach
 * the caller.
 */
export const safely =
  <A extends readonly unknown[]>(observe: (...of: A) => unknown, report: (thrown: unknown, ...of: A) => void) =>
  (...of: A): void => {
    try {
      const answer = observe(...of)
      if (isPromise(answer)) answer.catch((thrown: unknown) => report(thrown, ...of))
    } catch (thrown) {
      report(thrown, ...of)
    }
  }
