import { expect } from 'vitest'
import { patienceMs } from '../../strength.ts'
import { collect } from '../../support/async.ts'
import { digitRowOf, type FollowingApp, isInline, isShared, nextRow, type Row, type ViewName, viewNames } from './app.ts'
import type { Note } from './notes.ts'

/** Every row of the views must be the fold of the log, whatever has happened. Returns the last sequence of each aggregate. */
export async function checkRows(
  app: FollowingApp,
  { views = viewNames, made = 1 }: { readonly views?: readonly ViewName[]; readonly made?: number } = {},
): Promise<ReadonlyMap<string, number>> {
  const events = await collect(app.events())
  for (const view of views) {
    const expected = new Map<string, Row>()
    for (const event of events) {
      if (!isShared(view) && event.aggregateType !== 'purse') continue
      const id = isShared(view) ? digitRowOf(event.aggregateId) : event.aggregateId
      expected.set(id, nextRow(expected.get(id) ?? { digit: -1, count: 0, seen: {}, jumps: 0, trail: 0, made }, event))
    }
    const { items } = await app.views[view].find({}, { limit: 1_000 })
    expect(shown(view, new Map(items.map((row) => [row.id, row.view]))), `rows of ${view}`).toEqual(shown(view, expected))
    for (const [id] of expected) {
      const row = await app.views[view].load(id)
      expect(row?.view, `row ${id} of ${view}, loaded`).toEqual(items.find((item) => item.id === id)?.view)
    }
  }
  return new Map(events.map(({ aggregateType, aggregateId, sequence }) => [`${aggregateType}/${aggregateId}`, sequence]))
}

/** Commands that share a row may write it in another order than the log has; each aggregate's own stays. */
const shown = (view: ViewName, rows: ReadonlyMap<string, Row>) =>
  Object.fromEntries(
    [...rows]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, row]) => [id, isInline(view) && isShared(view) ? { ...row, trail: 0 } : row]),
  )

/** Each event at least once, and first in the order of its aggregate. */
export function checkOrder(notes: readonly Note[], ends: ReadonlyMap<string, number>): void {
  const seen = new Map<string, number>()
  for (const { what, key, sequence } of notes) {
    if (what !== 'began') continue
    const last = seen.get(key) ?? 0
    expect(sequence, `after ${last} of ${key}`).toBeLessThanOrEqual(last + 1)
    if (sequence > last) seen.set(key, sequence)
  }
  expect(Object.fromEntries([...seen].sort())).toEqual(Object.fromEntries([...ends].sort()))
}

/** No two processes had events of one aggregate under way at once. Those of a process that was killed never ended. */
export function checkAlone(notes: readonly Note[], killed: ReadonlySet<number> = new Set()): void {
  const underWay = new Map<string, Note>()
  for (const note of [...notes].sort((a, b) => (a.at < b.at ? -1 : 1))) {
    const other = underWay.get(note.key)
    if (note.what === 'ended') underWay.delete(note.key)
    else {
      if (other !== undefined && !killed.has(other.pid))
        expect.fail(`${note.pid} began ${note.key} ${note.sequence} while ${other.pid} was at ${other.sequence}`)
      underWay.set(note.key, note)
    }
  }
}

/** Leases of those who were killed run out first. */
export async function untilDrained(app: FollowingApp): Promise<boolean> {
  for (const began = performance.now(); performance.now() - began < patienceMs; ) {
    if ((await app.drain()).caughtUp) return true
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return false
}
