import { ConflictError } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import type { ComputedRows, InlineViews } from '../execution/core.ts'
import { readEvents } from '../execution/load.ts'
import type { Loaded } from '../execution/loaded.ts'
import { envelopesOf } from '../execution/new-events.ts'
import type { ViewWrite } from '../store/commit.ts'
import type { StoredView } from '../store/store.ts'
import { deepFreeze } from '../util/json.ts'
import { behindWrites, outdated } from './behind.ts'
import { currentRows, currentRowsNow } from './current.ts'
import { foldView, idsOf, rowWrite } from './fold.ts'
import type { Target } from './generations.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'

/**
 * Attempts to write a row that other writers change. Each lost race means that one of them made
 * progress.
 */
const rowAttempts = 200
const rowWaitMs = 2

/** Returns the function that computes the inline views of one aggregate type. */
export function inlineViews(core: ViewCore, definition: AggregateDefinition, views: readonly ViewDefinition[]): InlineViews {
  return (aggregateId, added) => {
    const plan = planViews(views, envelopesOf(added))
    if (plan.length === 0) return undefined
    const shared = sharedRowKeys(plan)
    return {
      areShared: shared.length > 0,
      exclusively: (task) => core.rowQueue.runAll(shared, task),
      compute: async (base, attempt) => {
        const targets = await targeted(core, plan)
        return computeViews(core, definition, aggregateId, base, added.sequence, targets, attempt === 1)
      },
      retry: async (on, attempt) => {
        if (attempt === rowAttempts)
          throw new ConflictError(
            `The inline views of ${definition.type} '${aggregateId}' lost the race against other writers ${attempt} times in a row. Retry later.`,
            { aggregateType: definition.type, aggregateId, attempts: attempt },
          )
        if (on === 'generation') for (const view of views) await currentRowsNow(core, view)
        core.observe?.({ kind: 'retry', aggregateType: definition.type, aggregateId, attempt, on })
        if (attempt > 1) await core.runtime.sleep(rowWaitMs * core.runtime.random() * Math.min(attempt, 10))
      },
    }
  }
}

/** A row that a commit will write, and the events that change it. */
interface PlannedRow {
  readonly view: ViewDefinition
  readonly id: string
  readonly events: readonly EventEnvelope[]
}

/** Returns the rows that these events change; a view that handles none of them has none. */
function planViews(views: readonly ViewDefinition[], events: readonly EventEnvelope[]): readonly PlannedRow[] {
  return views.flatMap((view) => {
    const byId = new Map<string, EventEnvelope[]>()
    for (const event of events) {
      if (!view.update.has(event.type)) continue
      for (const id of idsOf(view, event)) {
        const ofRow = byId.get(id)
        if (ofRow === undefined) byId.set(id, [event])
        else ofRow.push(event)
      }
    }
    return [...byId].map(([id, ofRow]) => ({ view, id, events: ofRow }))
  })
}

/** A planned row and its generation. */
interface TargetedRow extends PlannedRow {
  readonly target: Target
}

/**
 * Adds the generations to the rows.
 *
 * @throws ViewOutdatedError when rows of another version need more than one aggregate's events
 */
async function targeted(core: ViewCore, plan: readonly PlannedRow[]): Promise<readonly TargetedRow[]> {
  const rows: TargetedRow[] = []
  for (const row of plan) {
    // For rows of one aggregate a cached generation is enough: the store refuses a stale one. For
    // others, check before refusing the command.
    const known = row.view.followsOne ? core.generations.known(row.view) : undefined
    const target = known ?? (await currentRows(core, row.view))
    if (!target.isOwn && !row.view.followsOne) throw outdated(row.view, target.version)
    rows.push({ ...row, target })
  }
  return rows
}

/** Returns keys of rows that commands on other aggregates may also write. */
const sharedRowKeys = (plan: readonly PlannedRow[]): readonly string[] =>
  plan.filter(({ view }) => !view.followsOne).map(({ view, id }) => `${view.storedAs}\0${id}`)

/**
 * Folds the events of a commit, up to `sequence`, into the current rows. The first attempt may use
 * `trustCache`; later ones read the store.
 */
async function computeViews(
  core: ViewCore,
  definition: AggregateDefinition,
  aggregateId: string,
  base: Loaded,
  sequence: number,
  plan: readonly TargetedRow[],
  trustCache: boolean,
): Promise<ComputedRows> {
  const cached = new Map(plan.map((planned) => [planned, trustCache ? cachedRow(base, planned) : undefined]))
  const read = await readRows(
    core,
    plan.filter((planned) => cached.get(planned) === undefined),
  )
  const rows = new Map(base.rows)
  const writes: ViewWrite[] = []
  for (const planned of plan) {
    const { view, id, events, target } = planned
    const before = cached.get(planned) ?? read.get(planned)
    if (!target.isOwn) {
      writes.push(...(await behindWrites(core, planned, before)))
      continue
    }
    const missed = view.followsOne && read.has(planned) ? await missedEvents(core, definition, aggregateId, before, base) : []
    const folded = [...missed, ...events].reduce<unknown>(
      (current, event) => foldView(view, current, event),
      deepFreeze(before?.view ?? null),
    )
    const row = { generation: target.generation, id, expectedVersion: before?.version ?? 0 }
    const write = rowWrite(view, row, folded, events.at(-1) as EventEnvelope, sequence)
    writes.push(write)
    if (view.followsOne)
      rows.set(view.storedAs, {
        name: view.storedAs,
        generation: write.generation,
        id,
        version: write.expectedVersion + 1,
        view: write.view,
      })
  }
  return { writes, rows }
}

/** Returns the row as of `base`, if it is cached for the right generation. */
function cachedRow(base: Loaded, { view, target }: TargetedRow): StoredView | undefined {
  const row = view.followsOne && target.isOwn ? base.rows?.get(view.storedAs) : undefined
  return row?.generation === target.generation ? row : undefined
}

async function readRows(core: ViewCore, plan: readonly TargetedRow[]): Promise<ReadonlyMap<TargetedRow, StoredView | undefined>> {
  if (plan.length === 0) return new Map()
  const keys = plan.map(({ view, id, target }) => ({ name: view.storedAs, generation: target.generation, id }))
  const rows = await core.store.readViews(keys)
  return new Map(plan.map((planned, i) => [planned, rows[i]]))
}

/**
 * Reads the events that a row misses because the view was added or rebuilt later, or does not
 * handle them.
 */
async function missedEvents(
  core: ViewCore,
  definition: AggregateDefinition,
  aggregateId: string,
  row: StoredView | undefined,
  base: Loaded,
): Promise<EventEnvelope[]> {
  const seen = row?.sequence ?? 0
  const events: EventEnvelope[] = []
  if (seen < base.sequence)
    for await (const event of readEvents(core, { definition, aggregateId, upTo: base.sequence }, seen)) events.push(event)
  return events
}
