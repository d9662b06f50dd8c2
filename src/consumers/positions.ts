import type { Position } from '../event-envelope.ts'
import type { Core } from '../execution/core.ts'
import { comparePositions } from '../store/order.ts'

/** Before the first event of any log. */
export const beginning = '0' as Position

/** All that is stored by now is at or before this; `beginning` where there is no global order. */
export const endOf = async ({ store }: Core): Promise<Position> =>
  (store.capabilities.globalOrder ? await store.endPosition() : undefined) ?? beginning

export const lowest = (positions: readonly Position[]): Position =>
  positions.reduce((low, position) => (comparePositions(position, low) < 0 ? position : low))

export const laterOf = (a: Position, b: Position): Position => (comparePositions(a, b) < 0 ? b : a)

/** The place before an event. */
export const before = (position: Position): Position => String(BigInt(position) - 1n) as Position
