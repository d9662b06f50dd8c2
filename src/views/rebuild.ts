import type { RunRequest, RunResult } from '../consumers/core.ts'
import { viewConsumer } from '../consumers/names.ts'
import { endOf } from '../consumers/positions.ts'
import { clearStopped, readStopped } from '../consumers/stopped.ts'
import { liveGeneration } from '../store/generations.ts'
import type { ViewGeneration } from '../store/store.ts'
import { outdated } from './behind.ts'
import { currentRowsNow, fill } from './current.ts'
import { begunBy, liveVersion } from './generations.ts'
import { progressOf, type RebuildOptions } from './rebuild-handle.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'

const sliceMs = 500
const waitMs = 20

/** Returns whether the generations are still those on which the rebuild was decided. */
type MayReplace = (all: readonly ViewGeneration[]) => boolean | Promise<boolean>

/**
 * Fills a generation, switches to it, makes it ready and removes earlier ones; or does a part of
 * this.
 */
async function advance(
  core: ViewCore,
  view: ViewDefinition,
  generation: number,
  request: RunRequest,
  mayReplace: MayReplace,
): Promise<{ readonly result: RunResult; readonly isSwitched: boolean }> {
  const { store, generations } = core
  const { storedAs: name } = view
  const result = await fill(core.consumerOf(view, generation), { ...request, until: await endOf(core) })
  if (result.state !== 'caught-up') return { result, isSwitched: false }
  const all = await store.viewGenerations(name)
  const isSwitched = (await mayReplace(all)) && (await generations.switchTo(view, all, generation))
  // From the switch on, readers and commands wait until the new rows include all earlier events.
  await currentRowsNow(core, view)
  if (!isSwitched) return { result, isSwitched }
  const before = liveGeneration(all)
  for (const one of await store.viewGenerations(name))
    if (one.generation < before) await store.removeViewGeneration({ name, generation: one.generation })
  return { result, isSwitched }
}

/**
 * Does a part of a rebuild to rows of this version. Returns `undefined` if another process
 * interfered and the caller must check again.
 */
export async function rebuildStep(core: ViewCore, view: ViewDefinition, request: RunRequest): Promise<RunResult | undefined> {
  // The live and the begun generation come from one read: if they change, adding or switching
  // fails.
  const all = await core.store.viewGenerations(view.storedAs)
  if (liveVersion(all) === view.viewVersion) return undefined
  const error = outdated(view, liveVersion(all))
  if (await core.generations.isOutdated(view, all)) return { state: 'outdated', events: 0, error }
  // A waiting request must not switch the view under running programs.
  if (request.rebuild === false) return { state: 'waiting', events: 0, error }
  const generation = begunBy(view, all) ?? (await core.generations.add(view, all))
  if (generation === undefined) return undefined
  const mayReplace = async (now: readonly ViewGeneration[]) =>
    liveVersion(now) !== view.viewVersion && !(await core.generations.isOutdated(view, now))
  const { result, isSwitched } = await advance(core, view, generation, request, mayReplace)
  return result.state === 'caught-up' && !isSwitched ? { ...result, state: 'more' } : result
}

/**
 * Rebuilds the rows in a new generation, then switches to it.
 *
 * @throws StoppedError at an event that cannot be folded, ViewOutdatedError when another version
 * won, and the signal's reason
 */
export async function rebuild(core: ViewCore, view: ViewDefinition, { onProgress, signal }: RebuildOptions): Promise<void> {
  const { store, runtime } = core
  signal?.throwIfAborted()
  const { generation, before } = await begin(core, view)
  // Only generations known at the start may be replaced, never those another program added since.
  const mayReplace = (all: readonly ViewGeneration[]) => [before, view.viewVersion].includes(liveVersion(all))
  const isToFill = (all: readonly ViewGeneration[]) =>
    mayReplace(all) && all.some((one) => one.generation === generation && one.state === 'building')
  const consumer = core.consumerOf(view, generation)
  const report = await progressOf(core, consumer, await endOf(core), onProgress)
  consumer.lookAgain()
  while (isToFill(await store.viewGenerations(view.storedAs))) {
    signal?.throwIfAborted()
    const { result, isSwitched } = await advance(core, view, generation, { budgetMs: sliceMs, signal }, mayReplace)
    const { state, error, events } = result
    if (state === 'stopped' || state === 'outdated') throw error
    if (isSwitched) break
    signal?.throwIfAborted()
    await report(false)
    if (events === 0) await runtime.sleep(waitMs, signal)
  }
  const { isOwn, version } = await currentRowsNow(core, view)
  if (!isOwn) throw outdated(view, version)
  await report(true)
}

/**
 * Returns the generation to fill, and the version that is live. Continues a begun generation unless
 * it has stopped.
 */
async function begin(core: ViewCore, view: ViewDefinition): Promise<{ readonly generation: number; readonly before: string }> {
  for (;;) {
    const all = await core.store.viewGenerations(view.storedAs)
    const stopped: number[] = []
    const isOpen = async ({ generation, state, viewVersion }: ViewGeneration) => {
      if (state !== 'building' || viewVersion !== view.viewVersion) return false
      const { value } = await readStopped(core, viewConsumer(view.storedAs, generation))
      if (value !== undefined) stopped.push(generation)
      return value === undefined
    }
    let generation: number | undefined
    for (const one of all) if (generation === undefined && (await isOpen(one))) generation = one.generation
    generation ??= await core.generations.add(view, all)
    if (generation === undefined) continue
    // Rows before the failed event may have the same fault: start over.
    for (const left of stopped) {
      await core.store.removeViewGeneration({ name: view.storedAs, generation: left })
      await clearStopped(core, viewConsumer(view.storedAs, left))
    }
    return { generation, before: liveVersion(all) }
  }
}
