import type { Store } from '../store/store.ts'

/**
 * Provides the conformance cases with new, empty databases. Written by a store's author.
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
  /**
   * Opens a store on a new, empty database, with its schema unless `schema: false`. Called by each
   * case.
   */
  open(options: { readonly schema: boolean }): Promise<TestDatabase>
  /** Whether the store needs its schema: `'none'` if it works without `createSchema`. */
  readonly schema: 'required' | 'none'
}

/**
 * One database of a case. It is removed when the case is over.
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
  /**
   * Opens another store on the same database, with its own client, as another process does.
   *
   * A store for one process only returns the same object.
   */
  connect(): Promise<Store>
  /** Makes the stored JSON of this event unreadable, if the host can reach it. */
  corruptEvent?(aggregateType: string, aggregateId: string, sequence: number): Promise<void>
  /** Makes the stored JSON of this aggregate's snapshot unreadable, if the host can reach it. */
  corruptSnapshot?(aggregateType: string, aggregateId: string): Promise<void>
  /**
   * Deletes the events of this aggregate after a sequence, and nothing else, if the host can reach
   * them.
   *
   * Simulates a crash of a database that had not written its last commits to disk.
   */
  loseEvents?(aggregateType: string, aggregateId: string, after: number): Promise<void>
  /** Closes every client and removes the database. */
  close(): Promise<void>
}
