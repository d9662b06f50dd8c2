import type { Runtime } from '../runtime.ts'

/** Resends of a call that may have been lost on its way to the store. */
export const resends = 5

const firstWaitMs = 50

/** Waits before the `nth` resend, twice as long each time. */
export const waitToResend = (runtime: Runtime, nth: number): Promise<void> =>
  runtime.sleep(firstWaitMs * 2 ** (nth - 1) * (0.5 + runtime.random()))
