import type { Position } from '../event-envelope.ts'
import type { StoredEvent, ViewWrite } from '../store/commit.ts'
import type { OnceResults } from '../store/internal-rows.ts'
import type { LogEvent } from '../store/store.ts'
import type { Lease } from './lease.ts'
import { beginning, laterOf } from './positions.ts'
import type { Checkpoint, Effects, Saved } from './processor.ts'
import { bucketOf, isBeyond, isDone, type LogProgress, reachOf, readProgress, startOf, writeProgress } from './progress.ts'
import type { Sequences } from './sources/sequences.ts'

type AggregateOf = Pick<StoredEvent, 'aggregateType' | 'aggregateId'>

/** A part of the log that was read. */
export interface ReadPage {
  /** Events of the partition that are not done yet. */
  readonly events: readonly StoredEvent[]
  readonly position: Position | undefined
  readonly last: LogEvent | undefined
}

/** The held checkpoint of a partition: the progress, and which events that were read are open. */
export class LogCheckpoint implements Checkpoint {
  readonly lease: Lease
  readonly partition: number
  readonly sequences: Sequences
  /** The last event that was read. Reading stops if the log has lost it. */
  seen: LogEvent | undefined
  /** Writes for the next save, whichever caller makes it. Called again whenever a row was moved. */
  readonly alongside = new Set<() => Promise<readonly ViewWrite[]>>()
  readonly #partitions: number
  /** Progress at the start of this run. */
  #base: LogProgress
  #reach: Position
  #lastDone: Position
  /** Events read in this run and not done, in log order. */
  readonly #open = new Set<StoredEvent>()
  /** Results of `once` by event, and their buckets. Empty in most programs. */
  readonly #results = new Map<string, { readonly bucket: number; readonly results: OnceResults }>()

  constructor(lease: Lease, partition: number, partitions: number, progress: LogProgress, sequences: Sequences) {
    this.lease = lease
    this.partition = partition
    this.sequences = sequences
    this.#partitions = partitions
    this.#base = progress
    this.#reach = startOf(progress)
    this.#lastDone = progress.at
    for (const [bucket, events] of Object.entries(progress.once ?? {}))
      for (const [id, results] of Object.entries(events)) this.#results.set(id, { bucket: Number(bucket), results })
  }

  covers(of: AggregateOf): boolean {
    return this.#partitions === 1 || bucketOf(of) % this.#partitions === this.partition
  }

  get progress(): LogProgress {
    return this.#progress(this.#open, this.#lastDone)
  }

  /** Position up to which everything is done. */
  get position(): Position {
    return startOf(this.progress)
  }

  isSaved(progress = this.progress): boolean {
    return this.lease.text === writeProgress(progress)
  }

  /** Number of positions by which the stored checkpoint lags. */
  get unsaved(): number {
    return Number(this.progress.at) - Number(this.lease.text === null ? beginning : readProgress(this.lease.text).at)
  }

  /** Returns the position up to which the events of an aggregate were read. */
  reachIn(of: AggregateOf): Position {
    return laterOf(this.#reach, reachOf(this.#base, bucketOf(of)))
  }

  /** Starts a run, which reads open events again. */
  begin(): void {
    this.#base = this.progress
    this.#reach = startOf(this.#base)
    this.#lastDone = this.#base.at
    this.#open.clear()
    this.sequences.readAgain()
  }

  isDone(event: StoredEvent): boolean {
    return !this.#open.has(event) && isDone(this.#base, event)
  }

  /** Adds the events of a page as open. */
  pass({ events, position, last }: ReadPage): void {
    for (const event of events) this.#open.add(event)
    if (position !== undefined) this.#reach = laterOf(this.#reach, position)
    this.seen = last ?? this.seen
  }

  resultsOf({ id }: StoredEvent): OnceResults | undefined {
    return this.#results.get(id)?.results
  }

  /** Keeps a result of an open event, for the next save. */
  keep(event: StoredEvent, key: string, result: OnceResults[string]): void {
    if (!this.#open.has(event)) return
    this.#results.set(event.id, { bucket: bucketOf(event), results: { ...this.resultsOf(event), [key]: result } })
  }

  done(event: StoredEvent): void {
    if (this.#open.has(event)) this.passOver(event)
  }

  /** Removes an event that waits after a failed one: the reader does not meet it again. */
  passOver(event: StoredEvent): void {
    this.#open.delete(event)
    this.#results.delete(event.id)
    this.#lastDone = laterOf(this.#lastDone, event.position as Position)
    this.sequences.pass(event)
  }

  /** Stores a progress, current or earlier. */
  write(progress: LogProgress, effects?: Effects): Promise<Saved> {
    return this.lease.write(writeProgress(progress), effects)
  }

  async save(last: StoredEvent, effects?: Effects): Promise<Saved> {
    const through: StoredEvent[] = []
    const open = new Set(this.#open)
    for (const event of this.#open) {
      through.push(event)
      open.delete(event)
      if (event === last) break
    }
    const lastDone = through.reduce((late, { position }) => laterOf(late, position as Position), this.#lastDone)
    const saved = await this.write(this.#progress(open, lastDone), effects)
    if (saved === 'saved') for (const event of through) this.done(event)
    return saved
  }

  /** Moves back to the beginning. */
  async rewind(transaction: NonNullable<Effects['transaction']>): Promise<Saved> {
    const progress = { epoch: this.#base.epoch, at: beginning }
    const saved = await this.lease.write(writeProgress(progress), { transaction })
    if (saved !== 'saved') return saved
    this.#base = progress
    this.#reach = beginning
    this.#lastDone = beginning
    this.#open.clear()
    this.seen = undefined
    this.sequences.forget()
    return saved
  }

  #progress(isOpen: ReadonlySet<StoredEvent>, lastDone: Position): LogProgress {
    const base = this.#base
    const at = laterOf(base.at, isOpen.size === 0 ? this.#reach : lastDone)
    const ahead = Object.entries(base.ahead ?? {}).filter(([, position]) => isBeyond(position, at))
    const open: Record<number, Position[]> = {}
    const leaveOpen = (bucket: number, position: Position) => {
      open[bucket] ??= []
      open[bucket].push(position)
    }
    for (const event of isOpen) {
      const bucket = bucketOf(event)
      const position = event.position as Position
      // Later events count as unread.
      if (!isBeyond(position, laterOf(at, base.ahead?.[bucket] ?? at))) leaveOpen(bucket, position)
    }
    for (const [bucket, positions] of Object.entries(base.open ?? {}))
      for (const position of positions) if (isBeyond(position, this.#reach)) leaveOpen(Number(bucket), position)
    const once: Record<number, Record<string, OnceResults>> = {}
    for (const [id, { bucket, results }] of this.#results) {
      once[bucket] ??= {}
      once[bucket][id] = results
    }
    return { epoch: base.epoch, at, ahead: Object.fromEntries(ahead), open, once }
  }
}
