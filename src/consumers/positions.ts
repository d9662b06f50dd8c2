import type { Position } from '../event-envelope.ts'
import type { Core } from '../execution/core.ts'
import { comparePositions } from '../store/order.ts'

/** Position before the first event of any log. */
export const beginning = '0' as Position

/** Returns a position that no stored event exceeds; `beginning` without a global order. */
export const endOf = async ({ store }: Core): Promise<Position> =>
  (store.capabilities.globalOrder ? await store.endPosition() : undefined) ?? beginning

export const lowest = (positions: readonly Position[]): Position =>
  positions.reduce((low, position) => (comparePositions(position, low) < 0 ? position : low))

export const laterOf = (a: Position, b: Position): Position => (comparePositions(a, b) < 0 ? b : a)

/** Returns the position before an event. */
export const before = (position: Position): Position => String(BigInt(position) - 1n) as Position
