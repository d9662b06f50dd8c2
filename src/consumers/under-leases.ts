import { whenAborted } from '../util/abort.ts'
import type { ConsumerCore, RunRequest, Turn } from './consumption.ts'
import { eachEnded } from './each-ended.ts'
import { type Lane, LeaseLost } from './lane.ts'

/** What work under leases has at hand. */
export interface Hold {
  readonly turnOf: (lane: Lane) => Turn
  /** No more shall be begun. */
  readonly isOver: () => boolean
  /** Has all lanes worked on at the same time. When it fails in one, the others are told to end, and none is still at work when it rejects. */
  each<T>(work: (lane: Lane, turn: Turn) => Promise<T>): Promise<T[]>
}

/** Holds the leases as long as the work takes, and tells it when one is lost. */
export async function underLeases<T>(
  { runtime, leaseMs }: ConsumerCore,
  lanes: readonly Lane[],
  { budgetMs, signal }: RunRequest,
  work: (hold: Hold) => Promise<T>,
): Promise<T> {
  const now = () => runtime.now().getTime()
  const over = budgetMs === undefined ? Number.POSITIVE_INFINITY : now() + budgetMs
  // One for each lane, since a signal warns of many listeners.
  const endings = new Map(lanes.map((lane) => [lane, new AbortController()]))
  const endAll = (reason: unknown) => {
    for (const ending of endings.values()) ending.abort(reason)
  }
  const turnOf = (lane: Lane): Turn => {
    const { signal } = endings.get(lane) as AbortController
    return { lane, signal, isOver: () => signal.aborted || now() >= over }
  }
  const hold: Hold = {
    turnOf,
    isOver: () => lanes.some((lane) => turnOf(lane).isOver()),
    each: (work) =>
      eachEnded(
        lanes.map((lane) =>
          work(lane, turnOf(lane)).catch((error: unknown) => {
            endAll(new Error('Another part of the same subscription has failed.', { cause: error }))
            throw error
          }),
        ),
      ),
  }
  const done = new AbortController()
  const prove = (lane: Lane) =>
    lane.prove({ freshly: true }).catch((error: unknown) => {
      if (error instanceof LeaseLost) endings.get(lane)?.abort(error)
    })
  const beat = async () => {
    for (;;) {
      await runtime.sleep(leaseMs / 3, done.signal)
      await Promise.all(lanes.map(prove))
    }
  }
  const beating = beat().catch(() => {})
  const pass = () => endAll(signal?.reason)
  const forget = signal && whenAborted(signal, pass)
  if (signal?.aborted) pass()
  try {
    return await work(hold)
  } finally {
    forget?.()
    done.abort()
    await beating
  }
}
