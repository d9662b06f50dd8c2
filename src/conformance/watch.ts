import type { Store } from '../store/store.ts'
import { deposit } from './build.ts'
import { type Cases, push, when } from './case.ts'
import { equal, holds, stores } from './check.ts'
import { eventually, pause } from './read.ts'

export const watchCases: Cases = {
  'a watcher is woken after a commit': when(push, async ({ store }) => {
    let at = 0
    await woken(store, async () => stores(store, deposit('a', at++)))
  }),

  'a watcher is woken by commits of another connection': when(push, async (database) => {
    const other = await database.connect()
    let at = 0
    await woken(database.store, async () => stores(other, deposit('a', at++)))
  }),

  'a watcher is no longer woken once it has stopped, while others are': when(push, async ({ store }) => {
    let at = 0
    let late = 0
    const stop = watch(store, () => {
      late++
    })
    await woken(store, async () => stores(store, deposit('a', at++)))
    stop()
    await pause(50)
    const before = late
    await woken(store, async () => stores(store, deposit('a', at++)))
    await pause(50)
    equal('wake-ups after the stop', late - before, 0)
    stop()
  }),
}

/** Repeats the commit until a wake-up arrives, because a wake-up may be lost. */
async function woken(store: Store, commits: () => Promise<unknown>) {
  let wakes = 0
  const stop = watch(store, () => {
    wakes++
  })
  try {
    await eventually('a wake-up', async () => {
      await commits()
      await pause(10)
      return wakes > 0 ? wakes : undefined
    })
  } finally {
    stop()
  }
}

function watch(store: Store, wake: () => void): () => void {
  holds('a store with `push` can be watched', store.watch !== undefined)
  return store.watch?.(wake) ?? (() => {})
}
