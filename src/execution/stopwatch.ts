import type { Observation } from '../observation.ts'
import type { Runtime } from '../runtime.ts'

/** Milliseconds from now on; without an observer nobody asks, and the clock is left alone. */
export const stopwatch = ({
  observe,
  runtime,
}: {
  readonly observe: ((what: Observation) => void) | undefined
  readonly runtime: Runtime
}): (() => number) => (observe === undefined ? stopped : started(runtime))

const stopped = () => 0

function started(runtime: Runtime): () => number {
  const began = runtime.now().getTime()
  return () => runtime.now().getTime() - began
}
