import type { CqrsErrorCode } from '../errors.ts'
import type { ViewWrite } from './commit.ts'
import { encodeIndexValue } from './index-value.ts'
import type { Store, StoredView } from './store.ts'

// The library keeps its own state as rows of generation 1 of views whose names begin with `~`, which no view of a user
// can have. All of them are declared here.

/** Why a consumer has stopped; its id is the consumer's name. */
export interface StoppedRow {
  readonly message: string
  readonly code?: CqrsErrorCode
  readonly eventId: string
  readonly stoppedAt: string
  /** The event could not be decoded: a program that can decode it continues by itself. */
  readonly unreadable?: true
  /** The event is to be passed over by the next process that runs the consumer. */
  readonly skipped?: SkippedRow
}

/** An event that someone has passed over. Its id is a digest of consumer and event. */
export interface SkippedRow {
  readonly consumer: string
  readonly eventId: string
  readonly message: string
  readonly reason: string
  readonly by?: string
  readonly skippedAt: string
}

/** An aggregate whose events wait since one of them failed. Its id is a digest of consumer and aggregate. */
export interface FailedRow {
  readonly consumer: string
  readonly aggregateType: string
  readonly aggregateId: string
  /** Of the event that failed, or of the next one to process. */
  readonly sequence: number
  readonly message: string
  /** Up to 4,000 characters. */
  readonly stack?: string
  readonly code?: CqrsErrorCode
  /** How often the event was tried; 0 where the one that had failed was skipped. */
  readonly attempts: number
  /** When the aggregate's first event failed. */
  readonly failedAt: string
  readonly triedAt: string
  /** It is tried again then; left out where it is parked. */
  readonly nextTryAt?: string
  /** While it is parked: the `resumes` of its consumer that it has seen. */
  readonly resumes?: number
  /** The event could not be decoded: a program that can decode it tries it again by itself. */
  readonly unreadable?: true
}

/** What a program or a person has said about a consumer; its id is the consumer's name. */
export interface ProcessorRow {
  /** Of this row and of the checkpoints. A program leaves a consumer alone whose format it does not know. */
  readonly format: number
  readonly kind: 'subscription' | 'view' | 'sqlView'
  /** Counts the divisions into partitions. */
  readonly epoch: number
  readonly partitions: number
  /** Where the epoch began, as a checkpoint keeps it. */
  readonly from: string
  /** When the epoch began. */
  readonly changedAt: string
  /** How often someone has called `resume`: what was parked before is due. */
  readonly resumes: number
  /** Grows with each request about failed events. */
  readonly touched: number
  /** The last reset. */
  readonly reset?: ResetRow
  /** When it was run last, to about ten minutes. */
  readonly ranAt?: string
  /** Someone has removed it: a definition of its name begins by its `from`. */
  readonly removed?: { readonly reason: string; readonly by?: string; readonly at: string }
}

/** That someone has set a consumer back or forward. */
export interface ResetRow {
  /** A position of the log; without a global order `beginning`, or a time, ISO 8601. */
  readonly to: string
  readonly reason: string
  readonly by?: string
  readonly at: string
  /** What had failed after `to` is gone, since it comes again by reading: until then nothing is read. */
  readonly isCleared: boolean
}

/** How far a consumer has come in one aggregate, on stores without a global order. Its id is a digest of both. */
export interface SeenRow {
  readonly sequence: number
  /** Of its consumer, when this was stored; left out for the first. */
  readonly epoch?: number
  readonly isParked?: true
}

/** A version of a view that was replaced by generation `by`, and must not come back by itself. */
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

/** What reads and writes internal rows. */
export interface RowAccess {
  readonly store: Pick<Store, 'readViews'>
  /** Stores all of them; `false`: none, since another writer has moved one. */
  save(writes: readonly ViewWrite[]): Promise<boolean>
}

/** The rows of one name. `indexesOf` gives the texts that a row is found by. */
export class InternalRows<T extends object> {
  readonly name: string
  readonly #indexesOf: (value: T) => Readonly<Record<string, string>>

  constructor(name: string, indexesOf: (value: T) => Readonly<Record<string, string>> = () => ({})) {
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
    const indexes = value === null ? [] : Object.entries(this.#indexesOf(value))
    return {
      ...this.key(id),
      expectedVersion: version,
      view: value,
      indexes: indexes.map(([index, text]) => ({ index, value: encodeIndexValue(text) })),
    }
  }

  /** Changes a row until no other writer comes between. `undefined` leaves it as it is. Returns what is stored then. */
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

/** The place of a parked row among those of its consumer: the first are due first. */
export const parkedPlace = (consumer: string, resumes: number, triedAt = ''): string =>
  `${consumer}\n${String(resumes).padStart(8, '0')}${triedAt}`

/** The same of a row that is tried again by itself. */
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

/** When a consumer with `from: 'now'` ran first, on stores without a global order. */
export const begunRows = new InternalRows<{ readonly at: string }>('~begun')

/** Marks of rows that a program with another `viewVersion` left stale, found by generation and view. */
export const behindRows = new InternalRows<{ readonly id: string; readonly view: string }>('~behind', ({ view }) => ({ view }))

/** How often stale rows of a view were recomputed: the version of the row. */
export const catchUpRows = new InternalRows<object>('~behind')

export const replacedRows = new InternalRows<{ readonly replaced: readonly ReplacedVersion[] }>('~replaced')

/** A generation that has all that the one before it had. Written once, and never taken back. */
export const readyRows = new InternalRows<object>('~ready')
