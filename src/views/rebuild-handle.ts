import type { Consumer } from '../consumers/consumer.ts'
import type { ConsumerCore } from '../consumers/core.ts'
import { ValidationError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { checkCallOptions, checkId } from '../util/options.ts'

/** Progress of a rebuild. */
export interface RebuildProgress {
  /** Log positions processed so far. */
  readonly events: number
  /** Log positions in all, at the start. */
  readonly total: number
  /** Positions per second since this call began. */
  readonly eventsPerSecond: number
  /** Estimated remaining time in milliseconds, if known. */
  readonly remainingMs: number | undefined
  /** Readers now use the rebuilt rows. */
  readonly done: boolean
}

/** Options of `rebuild`. */
export interface RebuildOptions {
  /**
   * Rebuilds only the row of this aggregate, in place. For views of one aggregate without a custom
   * `id`.
   */
  readonly id?: string | undefined
  /**
   * Called from time to time and at the end. The rebuild awaits it, and ends with the error that it
   * throws.
   */
  readonly onProgress?: ((progress: RebuildProgress) => unknown) | undefined
  /** Ends the rebuild with the signal's reason; the next rebuild resumes it. */
  readonly signal?: AbortSignal | undefined
}

/** Returns the checked `rebuild` of a view. */
export const rebuildOf =
  (at: string, rebuild: (options: RebuildOptions) => Promise<void>, lifecycle: Lifecycle) =>
  (options: RebuildOptions = {}): Promise<void> =>
    lifecycle.run(`${at}: rebuild`, async () => {
      checkCallOptions(`${at}: rebuild`, options, ['id', 'onProgress', 'signal'])
      if (options.onProgress !== undefined && typeof options.onProgress !== 'function')
        throw new ValidationError(`${at}: rebuild: onProgress must be a function.`)
      if (options.id !== undefined) checkId(`${at}: rebuild`, options.id)
      await rebuild(options)
    })

/** Measures the progress of a consumer towards a position from now on. */
export async function progressOf(
  { runtime }: ConsumerCore,
  consumer: Consumer,
  end: Position,
  onProgress: RebuildOptions['onProgress'],
  start?: Position,
): Promise<(done: boolean) => Promise<void>> {
  const total = Number(end)
  const began = runtime.now().getTime()
  const first = Number(start ?? (await consumer.position()))
  return async (done) => {
    if (onProgress === undefined) return
    const position = Number(await consumer.position())
    const events = done ? Math.max(total, position) : position
    const seconds = Math.max(0.001, (runtime.now().getTime() - began) / 1_000)
    const eventsPerSecond = Math.round((events - first) / seconds)
    const left = eventsPerSecond > 0 ? Math.max(0, Math.round(((total - events) / eventsPerSecond) * 1_000)) : undefined
    await onProgress({ events, total, eventsPerSecond, remainingMs: done ? 0 : left, done })
  }
}
