import type { InlineViews } from '../execution/core.ts'

/** Combines the rows of two kinds in one commit. */
export const combine =
  (one: InlineViews | undefined, other: InlineViews): InlineViews =>
  (...of) => {
    const first = one?.(...of)
    const second = other(...of)
    if (first === undefined || second === undefined) return first ?? second
    return {
      get areShared() {
        return first.areShared || second.areShared
      },
      exclusively: (task) => first.exclusively(() => second.exclusively(task)),
      compute: async (base, attempt) => {
        const own = await second.compute(base, attempt)
        const rest = await first.compute({ ...base, rows: own.rows }, attempt)
        return { writes: [...rest.writes, ...own.writes], rows: rest.rows }
      },
      retry: (...conflict) => first.retry(...conflict),
    }
  }
