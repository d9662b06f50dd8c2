import { type EventEnvelope, isCqrsError, type Store } from 'cqrs-es'
import { expect } from 'vitest'
import { collect } from '../support/async.ts'
import { type Bank, sumRowOf } from './accounts.ts'

/** A command as it was given, and what came of it. */
export interface Entry {
  /** In the metadata of its events. */
  readonly number: number
  readonly aggregate: 'account' | 'counter'
  readonly id: string
  readonly by: readonly number[]
  readonly idempotencyKey: string | undefined
  outcome:
    | { readonly kind: 'open' }
    | { readonly kind: 'accepted'; readonly sequence: number; readonly positions: readonly unknown[] }
    | { readonly kind: 'unknown' }
    | { readonly kind: 'failed'; readonly code: string; readonly error: Error }
}

/** All commands of a test, each run by `give`, and what must be true of the database after them. */
export class Ledger {
  readonly entries: Entry[] = []

  /** Runs a command and notes how it ends. Errors that are not of the framework are errors of the test. */
  async give(bank: Bank, command: Pick<Entry, 'aggregate' | 'id' | 'by'>, keyed: boolean): Promise<Entry> {
    const number = this.entries.length + 1
    const entry: Entry = { ...command, number, idempotencyKey: keyed ? `key-${number}` : undefined, outcome: { kind: 'open' } }
    this.entries.push(entry)
    await this.run(bank, entry)
    return entry
  }

  async run(bank: Bank, entry: Entry): Promise<boolean> {
    const { aggregate, id, by, number, idempotencyKey } = entry
    const options = { metadata: { number }, idempotencyKey }
    try {
      const result =
        aggregate === 'counter'
          ? await bank.aggregates.counter.execute(id, { type: 'Count', data: { by: by[0] ?? 0 } }, options)
          : by.length === 1
            ? await bank.aggregates.account.execute(id, { type: 'Move', data: { by: by[0] ?? 0 } }, options)
            : await bank.aggregates.account.execute(id, { type: 'MoveEach', data: { by } }, options)
      if (!result.ok) throw new Error('No command is ever rejected.')
      entry.outcome = { kind: 'accepted', sequence: result.sequence, positions: result.events.map(({ position }) => position) }
      return result.replayed
    } catch (error) {
      if (!isCqrsError(error)) throw error
      entry.outcome = error.code === 'OUTCOME_UNKNOWN' ? { kind: 'unknown' } : { kind: 'failed', code: error.code, error }
      return false
    }
  }

  /** How many commands ended in each way. */
  tally(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (const { outcome } of this.entries) {
      const what = outcome.kind === 'failed' ? outcome.code : outcome.kind
      counts[what] = (counts[what] ?? 0) + 1
    }
    return counts
  }

  /** Compares what is stored, read through a bank of its own, with what was said. Returns the numbers of the commands that are stored. */
  async check(bank: Bank, store: Store): Promise<ReadonlySet<number>> {
    const byCommand = new Map<number, EventEnvelope[]>()
    for (const aggregate of ['account', 'counter'] as const)
      for (const id of (await bank.aggregates[aggregate].ids({ limit: 1_000 })).items)
        for (const event of await this.#checkAggregate(bank, store, aggregate, id)) {
          const number = event.metadata.number as number
          byCommand.set(number, [...(byCommand.get(number) ?? []), event])
        }
    for (const entry of this.entries) checkEntry(entry, byCommand.get(entry.number) ?? [])
    expect(byCommand.size).toBe(this.entries.filter(({ number }) => byCommand.has(number)).length)
    await this.#checkSums(bank, byCommand)
    if (store.capabilities.globalOrder) await this.#checkLog(bank, byCommand)
    return new Set(byCommand.keys())
  }

  async #checkAggregate(bank: Bank, store: Store, aggregate: Entry['aggregate'], id: string): Promise<readonly EventEnvelope[]> {
    const events: readonly EventEnvelope[] = await collect<EventEnvelope>(bank.aggregates[aggregate].events(id))
    const at = `${aggregate} ${id}`
    expect(
      events.map(({ sequence }) => sequence),
      at,
    ).toEqual(events.map((_, i) => i + 1))
    const sumUpTo = (sequence: number) => sumOf(events.slice(0, sequence))
    const { state, sequence } = await bank.aggregates[aggregate].load(id)
    expect(sequence, at).toBe(events.length)
    expect('balance' in state ? state.balance : state.total, at).toBe(sumUpTo(sequence))
    if (aggregate === 'counter') return events
    expect((await bank.views.balances.load(id))?.view, at).toEqual({ balance: sumUpTo(sequence) })
    expect(
      (await bank.views.balances.find({ balance: sumUpTo(sequence) })).items.map((row) => row.id),
      at,
    ).toContain(id)
    const page = await store.readAggregate({
      aggregateType: aggregate,
      aggregateId: id,
      after: 0,
      snapshot: { stateVersion: '1' },
    })
    const snapshot = page.snapshot
    if (sequence >= 4) expect(snapshot?.sequence, at).toBeGreaterThanOrEqual(sequence - (sequence % 4))
    if (snapshot !== undefined) expect(snapshot.state, at).toMatchObject({ balance: sumUpTo(snapshot.sequence) })
    return events
  }

  async #checkSums(bank: Bank, byCommand: ReadonlyMap<number, readonly EventEnvelope[]>): Promise<void> {
    const stored = [...byCommand.values()].flat().filter(({ aggregateType }) => aggregateType === 'account')
    for (const row of new Set(stored.map(({ aggregateId }) => sumRowOf(aggregateId)))) {
      const ofRow = stored.filter(({ aggregateId }) => sumRowOf(aggregateId) === row)
      expect((await bank.views.sums.load(row))?.view, row).toEqual({ sum: sumOf(ofRow) })
    }
  }

  async #checkLog(bank: Bank, byCommand: ReadonlyMap<number, readonly EventEnvelope[]>): Promise<void> {
    const log = await collect(bank.events())
    expect(log).toHaveLength([...byCommand.values()].flat().length)
    const positions = log.map(({ position }) => BigInt(position ?? 0))
    expect(positions.every((position, i) => i === 0 || position > (positions[i - 1] ?? 0n))).toBe(true)
  }
}

const sumOf = (events: readonly EventEnvelope[]): number =>
  events.reduce((sum, { data }) => sum + ((data as { readonly by?: number }).by ?? 0), 0)

/** What is stored of a command is what its caller was told. */
function checkEntry({ number, aggregate, id, by, outcome }: Entry, events: readonly EventEnvelope[]): void {
  const at = `command ${number}, ${outcome.kind}`
  if (outcome.kind === 'failed') {
    expect(events, `${at}: ${outcome.error.message}`).toEqual([])
    return
  }
  if (outcome.kind === 'unknown' && events.length === 0) return
  const first = events[0]?.sequence ?? 0
  // `MoveEach` adds one event more.
  const counted = aggregate === 'account' && by.length > 1
  const expected = by.map((each) => ({ type: aggregate === 'account' ? 'MoveMade' : 'CountMade', data: { by: each } }))
  expect(events.map(({ type, data }) => ({ type, data })).slice(0, by.length), at).toEqual(expected)
  expect(
    events.map(({ sequence }) => sequence),
    at,
  ).toEqual(Array.from({ length: by.length + (counted ? 1 : 0) }, (_, i) => first + i))
  expect(new Set(events.map((event) => `${event.aggregateType} ${event.aggregateId} ${event.commitId}`)).size, at).toBe(1)
  expect(events[0], at).toMatchObject({ aggregateType: aggregate, aggregateId: id })
  if (outcome.kind !== 'accepted') return
  expect(events.at(-1)?.sequence, at).toBe(outcome.sequence)
  expect(
    events.map(({ position }) => position),
    at,
  ).toEqual(outcome.positions)
}
