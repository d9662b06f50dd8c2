import { viewConsumer } from '../consumers/names.ts'
import { undecoded } from '../consumers/outdated.ts'
import type { Failure, Processor, Saved, Taken } from '../consumers/processor.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import type { Decoded } from '../evolution/decode.ts'
import type { StoredEvent, ViewWrite } from '../store/commit.ts'
import type { StoredView, ViewKey } from '../store/store.ts'
import { deepFreeze } from '../util/json.ts'
import { foldView, idsOf, rowWrite } from './fold.ts'
import { isReady, readyKey } from './generation-ready.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'

/** Size of the row cache, so that a row that changes often is not read each time. */
const mostRows = 50_000

/** A row with the version that its next save expects. */
interface Row {
  readonly version: number
  readonly view: unknown
  readonly sequence: number | undefined
}

/** Filling this generation is over: the view switched to another one, or commands write it. */
export class GenerationGone extends Error {}

/** Folds the log into the rows of one generation; rows and checkpoint are stored together. */
export class FoldRows implements Processor {
  readonly name: string
  readonly title: string
  readonly aggregateTypes: readonly string[]
  readonly label: string
  readonly kind = 'view'
  readonly from = 'beginning'
  readonly mode = 'fold'
  readonly partitions = 1
  readonly concurrency = 1
  readonly onFailure = 'stop'
  readonly batchSize: number
  readonly #core: ViewCore
  readonly #view: ViewDefinition
  readonly #generation: number
  readonly #rows = new Map<string, Row>()

  constructor(core: ViewCore, view: ViewDefinition, generation: number) {
    this.#core = core
    this.#view = view
    this.#generation = generation
    this.name = viewConsumer(view.storedAs, generation)
    this.title = `The view '${view.name}'`
    this.label = view.name
    this.aggregateTypes = view.aggregateTypes
    this.batchSize = core.store.capabilities.itemsPerCommit < 1_000 ? 10 : 5_000
  }

  /**
   * Commands write the rows of an inline view once its generation is live and complete. Until then
   * only the lease holder can complete it.
   */
  async isFinished(): Promise<boolean> {
    // Other processes may have changed the rows.
    this.#rows.clear()
    if (this.#view.consistency !== 'inline') return false
    const { storedAs: name } = this.#view
    const own = (await this.#core.store.viewGenerations(name)).find(({ generation }) => generation === this.#generation)
    return own?.state !== 'building' && (own?.state !== 'live' || (await isReady(this.#core, name, this.#generation)))
  }

  async take(batch: readonly Decoded[]): Promise<RowsTaken> {
    const plan = this.#plan(batch)
    const rows = await this.#read([...plan.byId.keys()])
    let failure: Failure | undefined = plan.failure
    let done = plan.done
    for (;;) {
      const folded = this.#fold(plan.byId, rows, done)
      if (folded.failedAt === undefined) return { done, failure, effects: { rows: folded.writes } }
      // Rows before the failing event are stored: fold again up to there.
      done = folded.failedAt
      failure = { error: folded.error, at: (batch[done] as Decoded).stored, kind: 'failed' }
    }
  }

  /** Keeps only stored rows: another batch may be in flight, and must not build on unsaved ones. */
  settled({ effects: { rows } }: RowsTaken, outcome: Saved): void {
    if (outcome !== 'saved') {
      this.#rows.clear()
      if (outcome === 'superseded') throw new GenerationGone()
      return
    }
    for (const { id, expectedVersion, view, sequence } of rows)
      this.#rows.set(id, { version: expectedVersion + 1, view: deepFreeze(view), sequence })
    if (this.#rows.size > mostRows) for (const id of this.#rows.keys()) if (this.#rows.size > mostRows / 2) this.#rows.delete(id)
    for (const tell of this.#core.onProjected) tell()
  }

  /** Groups the events by row, in order, up to the first one that cannot be read or placed. */
  #plan(batch: readonly Decoded[]) {
    const byId = new Map<string, Step[]>()
    for (const [nth, { events, failure, stored }] of batch.entries()) {
      if (failure !== undefined) return { byId, done: nth, failure: undecoded(this.title, batch[nth] as Decoded) }
      for (const event of events) {
        if (!this.#view.update.has(event.type)) continue
        try {
          for (const id of idsOf(this.#view, event)) {
            const steps = byId.get(id)
            if (steps === undefined) byId.set(id, [{ nth, event }])
            else steps.push({ nth, event })
          }
        } catch (error) {
          return { byId, done: nth, failure: stopAt(stored, error) }
        }
      }
    }
    return { byId, done: batch.length, failure: undefined }
  }

  /**
   * Reads the rows that are not cached. Without a global order no fence stops a process that lost
   * its lease, so this also checks that the generation is not ready. Until then commands have not
   * written events that were read, and other fillers have marked theirs as seen.
   */
  async #read(ids: readonly string[]): Promise<ReadonlyMap<string, Row>> {
    const { store } = this.#core
    const { storedAs: name, consistency } = this.#view
    const rows = new Map(ids.map((id) => [id, this.#rows.get(id)]))
    const unknown = ids.filter((id) => rows.get(id) === undefined)
    const keys = unknown.map((id): ViewKey => ({ name, generation: this.#generation, id }))
    const isUnfenced = consistency === 'inline' && !store.capabilities.globalOrder
    const all = isUnfenced ? [...keys, readyKey(name, this.#generation)] : keys
    const found = all.length === 0 ? [] : await store.readViews(all)
    if (isUnfenced && found[keys.length] !== undefined) throw new GenerationGone()
    unknown.forEach((id, i) => {
      rows.set(id, rowOf(found[i]))
    })
    return rows as ReadonlyMap<string, Row>
  }

  #fold(
    byId: ReadonlyMap<string, readonly Step[]>,
    rows: ReadonlyMap<string, Row>,
    end: number,
  ): { readonly writes: readonly ViewWrite[]; readonly failedAt?: number; readonly error?: unknown } {
    const writes: ViewWrite[] = []
    for (const [id, steps] of byId) {
      const row = rows.get(id) as Row
      let view = row.view
      let last: EventEnvelope | undefined
      for (const { nth, event } of steps) {
        if (nth >= end) break
        // A command may have folded the event already. Stale rows are left to their reader: they
        // may lack more than this event.
        if (this.#view.followsOne && row.sequence !== undefined && (row.sequence === 0 || event.sequence <= row.sequence))
          continue
        try {
          view = foldView(this.#view, view, event)
          last = event
        } catch (error) {
          return { writes: [], failedAt: nth, error }
        }
      }
      if (last === undefined) continue
      try {
        writes.push(rowWrite(this.#view, { generation: this.#generation, id, expectedVersion: row.version }, view, last))
      } catch (error) {
        const at = steps.filter(({ nth }) => nth < end).at(-1) as Step
        return { writes: [], failedAt: at.nth, error }
      }
    }
    return { writes }
  }
}

interface RowsTaken extends Taken {
  readonly effects: { readonly rows: readonly ViewWrite[] }
}

/** An event of a row and its index in the batch. */
interface Step {
  readonly nth: number
  readonly event: EventEnvelope
}

const stopAt = (at: StoredEvent, error: unknown): Failure => ({ error, at, kind: 'failed' })

const rowOf = (row: StoredView | undefined): Row => ({
  version: row?.version ?? 0,
  view: deepFreeze(row?.view ?? null),
  sequence: row?.sequence,
})
