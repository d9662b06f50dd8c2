import type { ConsumerCore } from './core.ts'
import { eachEnded } from './each-ended.ts'
import type { FailedAggregates } from './failed-aggregates.ts'
import type { LogCheckpoint } from './log-checkpoint.ts'

/** Done events are stored within this time … */
const saveMs = 250
/** … and after this many events. */
const mostUnsaved = 1_000

/** Receives the outcome of saves during the work. */
export interface Told {
  /** Reports a failed save. */
  fail(error: unknown): void
  /** Reports that no save is in progress any more. */
  resume(): void
}

/** Saves the checkpoints of a slice while it runs, one save at a time. */
export class Saver {
  readonly #core: ConsumerCore
  readonly #checkpoints: readonly LogCheckpoint[]
  readonly #failed: FailedAggregates | undefined
  readonly #told: Told
  readonly #ended = new AbortController()
  #unsaved = 0
  #savedAt: number
  #timer: Promise<void> | undefined
  #saving: Promise<void> | undefined

  constructor(
    core: ConsumerCore,
    checkpoints: readonly LogCheckpoint[],
    failed: FailedAggregates | undefined,
    told: Told = { fail: () => {}, resume: () => {} },
  ) {
    this.#core = core
    this.#checkpoints = checkpoints
    this.#failed = failed
    this.#told = told
    this.#savedAt = this.#now()
  }

  get isSaving(): boolean {
    return this.#saving !== undefined
  }

  /** Reports that more events are done. */
  note(events: number, isUrgent = false): void {
    this.#unsaved += events
    const age = this.#now() - this.#savedAt
    if (isUrgent || this.#unsaved >= mostUnsaved || age >= saveMs || age < 0)
      void this.save().catch((error: unknown) => this.#told.fail(error))
    else if (this.#unsaved > 0)
      this.#timer ??= this.#core.runtime.sleep(saveMs, this.#ended.signal).then(
        () => {
          this.#timer = undefined
          if (this.#unsaved > 0) void this.save().catch((error: unknown) => this.#told.fail(error))
        },
        () => {},
      )
  }

  /** Stores everything done so far. @throws LeaseLost */
  save(): Promise<void> {
    const before = this.#saving
    const saving = (async () => {
      await before
      this.#unsaved = 0
      this.#savedAt = this.#now()
      await eachEnded(this.#checkpoints.map((checkpoint) => this.saveOne(checkpoint)))
    })()
    this.#saving = saving
    const forget = () => {
      if (this.#saving !== saving) return
      this.#saving = undefined
      this.#told.resume()
    }
    saving.then(forget, forget)
    return saving
  }

  /** Saves one checkpoint, its failed aggregates and the writes beside it. */
  async saveOne(checkpoint: LogCheckpoint): Promise<void> {
    for (;;) {
      // Take all of them at one moment: the next save skips an event that fails from here on, with
      // its row.
      const { progress } = checkpoint
      const others = [...checkpoint.alongside]
      const failed = this.#failed?.unsaved(checkpoint)
      try {
        const rows = [...((await failed?.writes()) ?? []), ...(await Promise.all(others.map((other) => other()))).flat()]
        if (rows.length === 0 && checkpoint.isSaved(progress)) return
        if ((await checkpoint.write(progress, rows.length === 0 ? {} : { rows })) === 'saved') {
          for (const other of others) checkpoint.alongside.delete(other)
          return failed?.saved()
        }
      } catch (error) {
        failed?.notSaved()
        throw error
      }
      await failed?.moved()
    }
  }

  /** Waits for the save in progress, then saves the rest unless something has failed. */
  async end(hasFailed: boolean): Promise<void> {
    this.#ended.abort()
    await this.#saving
    if (!hasFailed && this.#unsaved > 0) await this.save()
  }

  #now(): number {
    return this.#core.runtime.now().getTime()
  }
}
