import { isPromise } from './refusing.ts'

/** One who is only told must not change what happens: what `tell` throws, or rejects with, goes to `report` together with what it was told. */
export const harmless =
  <A extends readonly unknown[]>(tell: (...of: A) => unknown, report: (thrown: unknown, ...of: A) => void) =>
  (...of: A): void => {
    try {
      const answer = tell(...of)
      if (isPromise(answer)) answer.catch((thrown: unknown) => report(thrown, ...of))
    } catch (thrown) {
      report(thrown, ...of)
    }
  }
