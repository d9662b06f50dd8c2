import { isCqrsError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import type { Store } from '../store/store.ts'
import { resends, waitToResend } from './resend.ts'

/** From the second failure on: a store that keeps a caller waiting is not asked often. */
const patienceMs = 3_000

/**
 * The store with reads that are sent again when their connection fails.
 *
 * A pooled connection may have died while it was idle. Calls that may arrive twice are sent again
 * too: a holder takes its lease again under a new fence, and a second renewal, release or removal
 * changes nothing. Every other call is sent once.
 */
export function withResentReads(store: Store, runtime: Runtime): Store {
  const resent =
    <A extends unknown[], R>(send: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> =>
      send(...args).catch((error: unknown) => sendAgain(runtime, error, () => send(...args)))
  const { readChanges, readConsumers, transact, watch } = store
  return {
    capabilities: store.capabilities,
    createSchema: () => store.createSchema(),
    printSchema: () => store.printSchema(),
    append: (commits) => store.append(commits),
    readAggregate: resent((request) => store.readAggregate(request)),
    readIds: resent((request) => store.readIds(request)),
    readKey: resent((request) => store.readKey(request)),
    readViews: resent((keys) => store.readViews(keys)),
    findViews: resent((request) => store.findViews(request)),
    viewGenerations: resent((name) => store.viewGenerations(name)),
    addViewGeneration: (generation) => store.addViewGeneration(generation),
    switchViewGeneration: (change) => store.switchViewGeneration(change),
    removeViewGeneration: resent((generation) => store.removeViewGeneration(generation)),
    readFeed: resent((request) => store.readFeed(request)),
    lastPosition: resent(() => store.lastPosition()),
    endPosition: resent(() => store.endPosition()),
    readCheckpoint: resent((name) => store.readCheckpoint(name)),
    acquireLease: resent((request) => store.acquireLease(request)),
    renewLease: resent((request) => store.renewLease(request)),
    releaseLease: resent((request) => store.releaseLease(request)),
    ...(readChanges && { readChanges: resent((request) => readChanges.call(store, request)) }),
    ...(readConsumers && { readConsumers: resent((names) => readConsumers.call(store, names)) }),
    ...(transact && { transact: (commit, work) => transact.call(store, commit, work) }),
    ...(watch && { watch: (wake) => watch.call(store, wake) }),
  }
}

async function sendAgain<R>(runtime: Runtime, first: unknown, send: () => Promise<R>): Promise<R> {
  if (!isCqrsError(first, 'STORE_UNAVAILABLE')) throw first
  const began = runtime.now().getTime()
  for (let nth = 1; ; nth++) {
    await waitToResend(runtime, nth)
    try {
      return await send()
    } catch (error) {
      const isOver = nth === resends || runtime.now().getTime() - began > patienceMs
      if (isOver || !isCqrsError(error, 'STORE_UNAVAILABLE')) throw error
    }
  }
}
