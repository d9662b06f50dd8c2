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

/** Whether the generations are still as they were when the rebuild was decided on. */
type MayReplace = (all: readonly ViewGeneration[]) => boolean | Promise<boolean>

/** Fills a generation, switches to it, makes it ready, and removes those before it; or some of the way. */
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
  // Readers and commands wait from the switch on until the new rows have what was stored before it.
  await currentRowsNow(core, view)
  if (!isSwitched) return { result, isSwitched }
  const before = liveGeneration(all)
  for (const one of await store.viewGenerations(name))
    if (one.generation < before) await store.removeViewGeneration({ name, generation: one.generation })
  return { result, isSwitched }
}

/** Some of the way to rows of this version. `undefined`: others were at it meanwhile, so that what is to be done must be looked at again. */
export async function rebuildStep(core: ViewCore, view: ViewDefinition, request: RunRequest): Promise<RunResult | undefined> {
  // What is live, and what has been begun, is of one look: adding or switching after it makes ours fail.
  const all = await core.store.viewGenerations(view.storedAs)
  if (liveVersion(all) === view.viewVersion) return undefined
  const error = outdated(view, liveVersion(all))
  if (await core.generations.isOutdated(view, all)) return { state: 'outdated', events: 0, error }
  // A request that waits must not switch the view under programs that run.
  if (request.rebuild === false) return { state: 'waiting', events: 0, error }
  const generation = begunBy(view, all) ?? (await core.generations.add(view, all))
  if (generation === undefined) return undefined
  const mayReplace = async (now: readonly ViewGeneration[]) =>
    liveVersion(now) !== view.viewVersion && !(await core.generations.isOutdated(view, now))
  const { result, isSwitched } = await advance(core, view, generation, request, mayReplace)
  return result.state === 'caught-up' && !isSwitched ? { ...result, state: 'more' } : result
}

/**
 * Rebuilds the rows beside the live ones, then switches.
 * @throws StoppedError at an event that cannot be folded, ViewOutdatedError when a program of another version was first, and the signal's reason
 */
export async function rebuild(core: ViewCore, view: ViewDefinition, { onProgress, signal }: RebuildOptions): Promise<void> {
  const { store, runtime } = core
  signal?.throwIfAborted()
  const { generation, before } = await begin(core, view)
  // It was asked for when these were live. What another program has put there since is not to be turned back.
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

/** The generation to fill: the one that was begun, unless it has stopped, else a new one. And what was live then. */
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
    // Rows before the failed event may come of the same mistake: the rebuild starts over.
    for (const left of stopped) {
      await core.store.removeViewGeneration({ name: view.storedAs, generation: left })
      await clearStopped(core, viewConsumer(view.storedAs, left))
    }
    return { generation, before: liveVersion(all) }
  }
}
