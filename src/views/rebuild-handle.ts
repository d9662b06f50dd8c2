import type { Consumer } from '../consumers/consumer.ts'
import type { ConsumerCore } from '../consumers/core.ts'
import { ValidationError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { checkCallOptions, checkId } from '../util/options.ts'

/** How far a rebuild has come. */
export interface RebuildProgress {
  /** Places of the log that are behind it. */
  readonly events: number
  /** Places of the log in all, as of the beginning. */
  readonly total: number
  /** Since this call began. */
  readonly eventsPerSecond: number
  /** About how long it will still take, as far as can be told. */
  readonly remainingMs: number | undefined
  /** The rebuilt rows are the ones that are read now. */
  readonly done: boolean
}

/** What `rebuild` takes. */
export interface RebuildOptions {
  /** Only the row of this aggregate, at once and in its place; for views of one aggregate without an `id` of their own. */
  readonly id?: string | undefined
  /** Called from time to time, and at the end; the rebuild waits for it, and ends with what it throws. */
  readonly onProgress?: ((progress: RebuildProgress) => unknown) | undefined
  /** Ends it, with the signal's reason; the next rebuild goes on from there. */
  readonly signal?: AbortSignal | undefined
}

/** The checked `rebuild` of a view. */
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

/** Tells how far a consumer has come towards a position, since now. */
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
