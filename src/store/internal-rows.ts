import type { CqrsErrorCode } from '../errors.ts'
import type { ViewWrite } from './commit.ts'
import { encodeIndexValue } from './index-value.ts'
import type { Store, StoredView } from './store.ts'

// The library keeps its own state as rows of generation 1 of views whose names begin with `~`,
// which no user's view can have. All of them are declared here, except those of processes, unique
// values and deadlines.

/** The reason why a consumer has stopped. Its id is the consumer's name. */
export interface StoppedRow {
  readonly message: string
  readonly code?: CqrsErrorCode
  readonly eventId: string
  readonly stoppedAt: string
  /** The event could not be decoded: a program that can decode it continues without a call. */
  readonly unreadable?: true
  /** The next process that runs the consumer must skip the event. */
  readonly skipped?: SkippedRow
}

/** An event that an operator has skipped. Its id is a digest of consumer and event. */
export interface SkippedRow {
  readonly consumer: string
  readonly eventId: string
  readonly message: string
  readonly reason: string
  readonly by?: string
  readonly skippedAt: string
}

/** Results of calls of `once` for an event, by key. Without `value`, the result was `undefined`. */
export type OnceResults = Readonly<Record<string, { readonly value?: unknown }>>

/** An aggregate whose events wait after a failure. Its id is a digest of consumer and aggregate. */
export interface FailedRow {
  readonly consumer: string
  readonly aggregateType: string
  readonly aggregateId: string
  /** Sequence of the event that failed, or of the next one to process. */
  readonly sequence: number
  readonly message: string
  /** Up to 4,000 characters. */
  readonly stack?: string
  readonly code?: CqrsErrorCode
  /** Attempts of the event; 0 if the failed event was skipped. */
  readonly attempts: number
  /** When the aggregate's first event failed. */
  readonly failedAt: string
  readonly triedAt: string
  /** Time of the next retry; absent if it is parked. */
  readonly nextTryAt?: string
  /** While it is parked: the last value of `resumes` in its consumer that was applied to it. */
  readonly resumes?: number
  /** The event could not be decoded: a program that can decode it retries it without a call. */
  readonly unreadable?: true
  /** Results of `once` for the event, on stores with a global order. */
  readonly once?: OnceResults
}

/** Settings of a consumer by programs and operators. Its id is the consumer's name. */
export interface ProcessorRow {
  /**
   * Format of this row and of the checkpoints. A program ignores a consumer with an unknown format.
   */
  readonly format: number
  readonly kind: 'subscription' | 'publication' | 'process' | 'view' | 'sqlView'
  /** Number of times that the consumer was partitioned. */
  readonly epoch: number
  readonly partitions: number
  /** Start of the epoch, in the form of a checkpoint. */
  readonly from: string
  /** Start time of the epoch. */
  readonly changedAt: string
  /** Number of calls of `resume`: everything parked before is due. */
  readonly resumes: number
  /** Grows with each request about failed events. */
  readonly touched: number
  /** The last reset. */
  readonly reset?: ResetRow
  /** Time of the last run, to about ten minutes. */
  readonly ranAt?: string
  /** An operator has removed it: a definition of its name starts at its `from`. */
  readonly removed?: { readonly reason: string; readonly by?: string; readonly at: string }
}

/** A reset of a consumer by an operator. */
export interface ResetRow {
  /** A position of the log. Without a global order, `beginning` or an ISO 8601 time. */
  readonly to: string
  readonly reason: string
  readonly by?: string
  readonly at: string
  /**
   * Failures after `to` are deleted, because their events are read again. No event is read before
   * that.
   */
  readonly isCleared: boolean
}

/** Progress of a consumer in one aggregate, without a global order. Its id is a digest of both. */
export interface SeenRow {
  readonly sequence: number
  /** Epoch of the consumer when the row was stored; absent for the first. */
  readonly epoch?: number
  readonly isParked?: true
  /** Results of `once` for the event that is being processed, or that waits after a failure. */
  readonly once?: { readonly sequence: number; readonly results: OnceResults }
}

/** A version of a view that generation `by` replaced. It must not return without a request. */
export interface ReplacedVersion {
  readonly viewVersion: string
  readonly by: number
}

/** A row and the version that its next write expects. */
export interface InternalRow<T> {
  readonly id: string
  readonly version: number
  readonly value: T | undefined
}

/** Reads and writes internal rows. */
export interface RowAccess {
  readonly store: Pick<Store, 'readViews'>
  /** Stores all rows. Returns `false`, and stores none, if another writer has moved one. */
  save(writes: readonly ViewWrite[]): Promise<boolean>
}

/** The rows of one name. `indexesOf` returns the index values of a row by index. */
export class InternalRows<T extends object> {
  readonly name: string
  readonly #indexesOf: (value: T, id: string) => Readonly<Record<string, string>>

  constructor(name: string, indexesOf: (value: T, id: string) => Readonly<Record<string, string>> = () => ({})) {
    this.name = name
    this.#indexesOf = indexesOf
  }

  key(id: string) {
    return { name: this.name, generation: 1, id }
  }

  /** A deleted row has no value. */
  parse(id: string, row: StoredView | undefined): InternalRow<T> {
    return { id, version: row?.version ?? 0, value: (row?.view ?? undefined) as T | undefined }
  }

  async read(store: Pick<Store, 'readViews'>, id: string): Promise<InternalRow<T>> {
    const [row] = await store.readViews([this.key(id)])
    return this.parse(id, row)
  }

  /** Replaces a row as it was read; `null` deletes it. */
  write({ id, version }: Omit<InternalRow<T>, 'value'>, value: T | null): ViewWrite {
    const indexes = value === null ? [] : Object.entries(this.#indexesOf(value, id))
    return {
      ...this.key(id),
      expectedVersion: version,
      view: value,
      indexes: indexes.map(([index, text]) => ({ index, value: encodeIndexValue(text) })),
    }
  }

  /**
   * Changes a row, again after each lost race, and returns the stored value.
   *
   * A change that returns `undefined` leaves the row as it is.
   */
  async update(
    access: RowAccess,
    id: string,
    change: (value: T | undefined) => T | null | undefined | Promise<T | null | undefined>,
  ): Promise<T | undefined> {
    for (;;) {
      const row = await this.read(access.store, id)
      const next = await change(row.value)
      if (next === undefined) return row.value
      if (await access.save([this.write(row, next)])) return next ?? undefined
    }
  }
}

export const stoppedRows = new InternalRows<StoppedRow>('~stopped')

export const processorRows = new InternalRows<ProcessorRow>('~processor')

/** Index value that orders the parked rows of a consumer by the time at which they are due. */
export const parkedPlace = (consumer: string, resumes: number, triedAt = ''): string =>
  `${consumer}\n${String(resumes).padStart(8, '0')}${triedAt}`

/** Index value that orders the rows of a consumer by the time of their next retry. */
export const duePlace = (consumer: string, nextTryAt = ''): string => `${consumer}\n${nextTryAt}`

export const failedRows = new InternalRows<FailedRow>('~failed', (row) => {
  const { consumer, nextTryAt, triedAt, resumes = 0 } = row
  const place: Readonly<Record<string, string>> =
    nextTryAt === undefined ? { parked: parkedPlace(consumer, resumes, triedAt) } : { due: duePlace(consumer, nextTryAt) }
  return { consumer, ...place, ...(row.unreadable && { unreadable: consumer }) }
})

export const skippedRows = new InternalRows<SkippedRow>('~skipped', ({ consumer, skippedAt }) => ({
  at: duePlace(consumer, skippedAt),
}))

export const seenRows = new InternalRows<SeenRow>('~seen')

/** First run of a consumer with `from: 'now'`, on stores without a global order. */
export const begunRows = new InternalRows<{ readonly at: string }>('~begun')

/** Marks of rows that a program with another `viewVersion` left stale, by generation and view. */
export const behindRows = new InternalRows<{ readonly id: string; readonly view: string }>('~behind', ({ view }) => ({ view }))

/** Count of repairs of a view's stale rows: the version of the row. */
export const catchUpRows = new InternalRows<object>('~behind')

export const replacedRows = new InternalRows<{ readonly replaced: readonly ReplacedVersion[] }>('~replaced')

/** A generation that has everything that the one before it had. Written once and never removed. */
export const readyRows = new InternalRows<object>('~ready')
