import type { Runtime } from '../runtime.ts'
import type { Core } from './core.ts'

/** Milliseconds from now on; without an observer nobody asks, and the clock is left alone. */
export const stopwatch = ({ observe, runtime }: Core): (() => number) => (observe === undefined ? stopped : started(runtime))

const stopped = () => 0

function started(runtime: Runtime): () => number {
  const began = runtime.now().getTime()
  return () => runtime.now().getTime() - began
}
