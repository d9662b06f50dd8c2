import { NotYetError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { liveGeneration } from '../store/generations.ts'
import {
  begunRows,
  failedRows,
  type InternalRow,
  InternalRows,
  type ProcessorRow,
  processorRows,
  replacedRows,
} from '../store/internal-rows.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { checkCallOptions } from '../util/options.ts'
import type { ConsumerCore } from './core.ts'
import type { ConsumerDefinition, Leftover } from './definitions.ts'
import { findFailed, mostFailed } from './find-failed.ts'
import { isLongAgo, layoutOf, readProgresses } from './layout.ts'
import { withLease } from './lease.ts'
import { rowPrefixes, sqlViewConsumer, viewConsumer } from './names.ts'
import { beginning, lowest } from './positions.ts'
import { keepsStart } from './processor.ts'
import { readProgress, startOf } from './progress.ts'
import { beginEpoch } from './relayout.ts'
import { finishReset, stoppedWrites } from './reset.ts'
import { rowsOf, saveRows } from './rows.ts'
import { checkSaid } from './said.ts'
import { clearStopped } from './stopped.ts'

interface Removed {
  readonly reason: string
  readonly by?: string
  readonly at: string
}

const hourMs = 3_600_000
const pageSize = 1_000
/** Instances that are deleted in one commit: each needs several items on DynamoDB. */
const instancesAtOnce = 20
/** Version of the rows of a removed view; no program can have it. */
const removedVersion = '~removed'

/** Returns the consumers in the store that no definition names. */
export async function findLeftovers(
  core: ConsumerCore,
  definitions: readonly ConsumerDefinition[],
  lifecycle: Lifecycle,
): Promise<readonly Leftover[]> {
  const own = new Set(
    definitions.flatMap(({ kind, storedAs }) => (kind === 'deadlines' ? [] : [`${rowPrefixes[kind]}${storedAs}`])),
  )
  const found: Leftover[] = []
  for (const { id, value } of await allRows(core)) {
    if (value === undefined || value.removed !== undefined || own.has(id)) continue
    const { kind, ranAt } = value
    const name = id.slice(rowPrefixes[kind].length)
    const position = await positionOf(core, id, name, value)
    found.push({
      kind,
      name,
      ...(position === undefined || position === beginning ? {} : { position }),
      ...(ranAt === undefined ? {} : { lastRunAt: ranAt }),
      remove: (options) =>
        lifecycle.run(`remove of the leftover '${name}'`, async () => {
          checkCallOptions('remove', options, ['reason', 'by'])
          checkSaid('remove', options)
          const { reason, by } = options
          const at = core.runtime.now().toISOString()
          await remove(core, id, name, { reason, ...(by === undefined ? {} : { by }), at })
        }),
    })
  }
  return found
}

async function allRows({ store }: ConsumerCore): Promise<readonly InternalRow<ProcessorRow>[]> {
  const rows: InternalRow<ProcessorRow>[] = []
  for (let after: { readonly id: string } | undefined; ; ) {
    const request = { name: processorRows.name, generation: 1, where: [], limit: pageSize, ...(after && { after }) }
    const page = await store.findViews(request)
    rows.push(...page.items.map((row) => processorRows.parse(row.id, row)))
    if (page.next === undefined) return rows
    after = page.next
  }
}

async function positionOf(core: ConsumerCore, id: string, name: string, row: ProcessorRow): Promise<Position | undefined> {
  const { store } = core
  if (!store.capabilities.globalOrder) return undefined
  if (keepsStart(row)) return lowest((await readProgresses(core, id, layoutOf(id, row))).map(startOf))
  const isView = row.kind === 'view'
  const consumer = isView ? viewConsumer(name, liveGeneration(await store.viewGenerations(name))) : id
  const checkpoint = await store.readCheckpoint(consumer)
  return checkpoint && startOf(readProgress(checkpoint.position))
}

async function remove(core: ConsumerCore, id: string, name: string, said: Removed): Promise<void> {
  const { value } = await processorRows.read(core.store, id)
  if (value === undefined || value.removed !== undefined) return
  const { kind, ranAt } = value
  if (!isLongAgo(core, ranAt, hourMs)) throw inUse(name, `a program ran it at ${ranAt}, within the last hour`)
  const isRemoved =
    kind === 'view'
      ? await removeView(core, id, name)
      : kind === 'sqlView'
        ? await removeSqlView(core, id, name)
        : await removeSubscription(core, id, said)
  if (isRemoved && kind === 'process') await removeInstances(core, name)
  if (!isRemoved) throw inUse(name, 'a process holds its lease')
}

const inUse = (name: string, why: string): NotYetError =>
  new NotYetError(`The leftover '${name}' was not removed: ${why}. Retry later, when no program runs it.`)

/** Removes the progress of a subscription or a process. Returns false if another process has a partition. */
async function removeSubscription(core: ConsumerCore, id: string, removed: Removed): Promise<boolean> {
  if (!core.store.capabilities.globalOrder) return removeUnordered(core, id, removed)
  const reset = { ...removed, to: beginning, isCleared: false }
  const next = () => ({ partitions: 1, resumes: 0, progress: { at: beginning }, removed, reset })
  if (!(await beginEpoch(core, id, { budgetMs: 0 }, next, () => stoppedWrites(core, id)))) return false
  await finishReset(core, id)
  return true
}

/** Deletes the instances of a process: a definition of its name must not continue them. */
async function removeInstances(core: ConsumerCore, process: string): Promise<void> {
  const rows = new InternalRows<object>(`~process/${process}`)
  for (;;) {
    const { items } = await core.store.findViews({ name: rows.name, generation: 1, where: [], limit: instancesAtOnce })
    if (items.length === 0) return
    await saveRows(
      core,
      items.map(({ id, version }) => rows.write({ id, version }, null)),
    )
  }
}

/** Begins a new epoch, in which earlier progress in aggregates is ignored. */
function removeUnordered(core: ConsumerCore, id: string, removed: Removed): Promise<boolean> {
  return withLease(core, id, async () => {
    await clearStopped(core, id)
    for (let rows = await failedOf(core, id); rows.length > 0; rows = await failedOf(core, id))
      for (const row of rows) await saveRows(core, [failedRows.write(row, null)])
    await begunRows.update(rowsOf(core), id, (row) => (row === undefined ? undefined : null))
    await processorRows.update(rowsOf(core), id, (row) => {
      if (row === undefined) return undefined
      const { reset: _, ...rest } = row
      return { ...rest, epoch: row.epoch + 1, resumes: 0, removed }
    })
  })
}

const failedOf = async (core: ConsumerCore, id: string) => (await findFailed(core, id, mostFailed)).items

/** Resets the checkpoint only: the tables are the user's. */
function removeSqlView(core: ConsumerCore, id: string, name: string): Promise<boolean> {
  return withLease(core, sqlViewConsumer(name), async (lease) => {
    await lease.write(beginning)
    await clearStopped(core, id)
    await forget(core, id)
  })
}

/**
 * Switches to a generation without rows. Remaining readers find none, and a definition of the name
 * rebuilds them.
 */
async function removeView(core: ConsumerCore, id: string, name: string): Promise<boolean> {
  const { store } = core
  const all = await store.viewGenerations(name)
  const from = liveGeneration(all)
  const generations = [...new Set([from, ...all.map((one) => one.generation)])]
  for (const one of generations) if (!(await withLease(core, viewConsumer(name, one), async () => {}))) return false
  const to = Math.max(...generations) + 1
  if (!(await store.addViewGeneration({ name, generation: to, viewVersion: removedVersion }))) return false
  if (!(await store.switchViewGeneration({ name, from, to }))) return false
  for (const generation of generations) {
    await store.removeViewGeneration({ name, generation })
    await clearStopped(core, viewConsumer(name, generation))
  }
  await replacedRows.update(rowsOf(core), name, (row) => (row === undefined ? undefined : null))
  await forget(core, id)
  return true
}

async function forget(core: ConsumerCore, id: string): Promise<void> {
  await processorRows.update(rowsOf(core), id, (row) => (row === undefined ? undefined : null))
}
