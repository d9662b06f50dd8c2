/** How far the consumer of a name has come. */
export interface Checkpoint {
  /** As the last commit wrote it. */
  readonly position: string
  /** Of the lease it was written under. */
  readonly fence: number
}

/** What is stored of the consumer of a name: nothing, for a name that nobody has used. */
export interface StoredConsumer {
  readonly checkpoint?: Checkpoint
  /**
   * By the database's clock. Left out where nobody holds it: it was never taken, was released or
   * has run out.
   */
  readonly lease?: {
    readonly holder: string
    readonly fence: number
    /** More than 0. */
    readonly remainingMs: number
  }
}

/** Whether the lease was taken; `fence` proves it to `append`. */
export type LeaseAnswer =
  | {
      readonly acquired: true
      readonly fence: number
      /**
       * The checkpoint of the same name; `null`: there is none. A store reads it after it took the
       * lease, so it has every move that was made under an earlier fence. A store that does not
       * read it leaves it out.
       */
      readonly checkpoint?: Checkpoint | null
    }
  | { readonly acquired: false; readonly holder: string; readonly remainingMs: number }
