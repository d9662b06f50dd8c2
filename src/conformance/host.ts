import type { Store } from '../store/store.ts'

/**
 * What a store author provides: new, empty databases for the cases to run on.
 *
 * @example
 * ```ts
 * import type { ConformanceHost } from 'cqrs-es/conformance'
 * import { memoryStore } from 'cqrs-es/memory'
 *
 * export const host: ConformanceHost = {
 *   schema: 'none',
 *   async open() {
 *     const store = memoryStore()
 *     return { store, connect: async () => store, close: async () => {} }
 *   },
 * }
 * ```
 */
export interface ConformanceHost {
  /** A store on a new, empty database; with its schema unless `schema: false`. Each case opens its own. */
  open(options: { readonly schema: boolean }): Promise<TestDatabase>
  /** `'none'` for a store that works without `createSchema`. */
  readonly schema: 'required' | 'none'
}

/**
 * One database of a case, gone when the case is over.
 *
 * @example
 * ```ts
 * import type { TestDatabase } from 'cqrs-es/conformance'
 * import type { Store } from 'cqrs-es/store'
 *
 * export const testDatabase = (connect: () => Promise<Store>, remove: () => Promise<void>) => async (): Promise<TestDatabase> => ({
 *   store: await connect(),
 *   connect,
 *   close: remove,
 * })
 * ```
 */
export interface TestDatabase {
  /** The store under test, on this database. */
  readonly store: Store
  /** Another store on the same database through a client of its own, as another process would have it; the same object where there is only one process. */
  connect(): Promise<Store>
  /** Makes the stored JSON of this event unreadable, where the host can reach it. */
  corruptEvent?(aggregateType: string, aggregateId: string, sequence: number): Promise<void>
  /** Makes the stored JSON of this aggregate's snapshot unreadable, where the host can reach it. */
  corruptSnapshot?(aggregateType: string, aggregateId: string): Promise<void>
  /**
   * Deletes the events of this aggregate past a sequence and leaves all else, as a crash of a database that had not written its last commits to disk, where the host can reach them.
   */
  loseEvents?(aggregateType: string, aggregateId: string, after: number): Promise<void>
  /** Closes every client and removes the database. */
  close(): Promise<void>
}
