import type { StoredView } from '../store/store.ts'

/** The state of an aggregate after one of its events. */
export interface Loaded {
  readonly state: unknown
  /** Of the last event in it, 0 for none. */
  readonly sequence: number
  /** Of the commit that its last event belongs to; none at sequence 0. */
  readonly commitId?: string | undefined
  /** View name → the row of the view that follows this aggregate alone, as of `sequence`. */
  readonly rows?: ReadonlyMap<string, StoredView> | undefined
}
