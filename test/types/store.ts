import type { Commit, Store } from 'cqrs-es/store'

declare const store: Store

export const outcomes = store.append([] as Commit[])

// @ts-expect-error a commit needs its id
store.append([{ appends: [] }])
