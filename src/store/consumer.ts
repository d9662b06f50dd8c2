/** Progress of a consumer. */
export interface Checkpoint {
  /** Position that the last commit wrote. */
  readonly position: string
  /** Fence of the lease that it was written under. */
  readonly fence: number
}

/** The stored state of a consumer; empty for an unused name. */
export interface StoredConsumer {
  readonly checkpoint?: Checkpoint
  /**
   * The lease, by the database's clock. Absent if it was never taken, was released or has expired.
   */
  readonly lease?: {
    readonly holder: string
    readonly fence: number
    /** More than 0. */
    readonly remainingMs: number
  }
}

/** Whether the lease was taken. `append` checks its `fence`. */
export type LeaseAnswer =
  | {
      readonly acquired: true
      readonly fence: number
      /**
       * The checkpoint of the same name, `null` if there is none. Absent if the store does not read
       * it.
       *
       * A store reads it after it took the lease, so it includes every move under an earlier fence.
       */
      readonly checkpoint?: Checkpoint | null
    }
  | { readonly acquired: false; readonly holder: string; readonly remainingMs: number }
