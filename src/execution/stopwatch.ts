import type { Observation } from '../observation.ts'
import type { Runtime } from '../runtime.ts'

/** Returns the milliseconds since now. Without an observer the clock is not read. */
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
