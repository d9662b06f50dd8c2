import type { RunRequest, RunResult } from '../consumers/consumption.ts'
import { endOf, type Lane } from '../consumers/lane.ts'
import { standstillOf } from '../consumers/outdated.ts'
import type { Runs } from '../consumers/runs.ts'
import { clearStopped, readStopped } from '../consumers/troubles.ts'
import { liveGeneration } from '../store/generations.ts'
import type { ViewGeneration } from '../store/store.ts'
import { outdated } from './behind.ts'
import { GenerationGone, viewConsumer } from './following.ts'
import { begunBy, liveVersion } from './generations.ts'
import { progressOf, type RebuildOptions } from './rebuild-handle.ts'
import { isSettled, settledWrite } from './settled.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'

/** What fills a generation of the view. */
export type ConsumerOf = (generation: number) => Runs

const sliceMs = 500
const waitMs = 20

/** Some of the way to rows of this version, and the switch to them at the end. `undefined`: others were at it meanwhile, so that what is to be done must be looked at again. */
export async function rebuildStep(
  core: ViewCore,
  view: ViewDefinition,
  consumerOf: ConsumerOf,
  request: RunRequest,
): Promise<RunResult | undefined> {
  // What is live, and what has been begun, is of one look: who adds or switches after it makes ours fail.
  const all = await core.store.viewGenerations(view.name)
  if (liveVersion(all) === view.viewVersion) return undefined
  const error = outdated(view, liveVersion(all))
  if (await core.generations.isOutdated(view, all)) return { state: 'outdated', events: 0, error }
  // A request that waits must not switch the view under programs that run.
  if (request.rebuild === false) return { state: 'waiting', events: 0, error }
  const generation = begunBy(view, all) ?? (await core.generations.add(view, all))
  if (generation === undefined) return undefined
  const result = await fill(consumerOf(generation), { ...request, until: await endOf(core) })
  if (result.state !== 'caught-up') return result
  const mayReplace = async (now: readonly ViewGeneration[]) =>
    liveVersion(now) !== view.viewVersion && !(await core.generations.isOutdated(view, now))
  return (await switchOver(core, view, generation, mayReplace)) ? result : { ...result, state: 'more' }
}

/**
 * Rebuilds the rows beside the live ones, then switches.
 * @throws StoppedError at an event that cannot be folded, ViewOutdatedError when a program of another version was first, and the signal's reason
 */
export async function rebuild(
  core: ViewCore,
  view: ViewDefinition,
  consumerOf: ConsumerOf,
  { onProgress, signal }: RebuildOptions,
): Promise<void> {
  const { store, runtime, generations } = core
  signal?.throwIfAborted()
  const { generation, before } = await begin(core, view)
  // It was asked for when these were live. What another program has put there since is not to be turned back.
  const mayReplace = (all: readonly ViewGeneration[]) => [before, view.viewVersion].includes(liveVersion(all))
  const isToFill = (all: readonly ViewGeneration[]) =>
    mayReplace(all) && all.some((one) => one.generation === generation && one.state === 'building')
  const consumer = consumerOf(generation)
  const report = await progressOf(core, consumer, await endOf(core), onProgress)
  consumer.lookAgain()
  while (isToFill(await store.viewGenerations(view.name))) {
    signal?.throwIfAborted()
    const { state, error, events } = await fill(consumer, { budgetMs: sliceMs, until: await endOf(core), signal })
    if (state === 'stopped' || state === 'outdated') throw error
    signal?.throwIfAborted()
    if (state === 'caught-up' && (await switchOver(core, view, generation, mayReplace))) break
    await report(false)
    if (events === 0) await runtime.sleep(waitMs, signal)
  }
  const { isOwn, version } = await generations.refresh(view)
  if (!isOwn) throw outdated(view, version)
  await report(true)
}

/** The generation to fill: the one that was begun, unless it has stopped, else a new one. And what was live then. */
async function begin(core: ViewCore, view: ViewDefinition): Promise<{ readonly generation: number; readonly before: string }> {
  for (;;) {
    const all = await core.store.viewGenerations(view.name)
    const stopped: number[] = []
    const isOpen = async ({ generation, state, viewVersion }: ViewGeneration) => {
      if (state !== 'building' || viewVersion !== view.viewVersion) return false
      const { value } = await readStopped(core, viewConsumer(view.name, generation))
      if (value !== undefined) stopped.push(generation)
      return value === undefined
    }
    let generation: number | undefined
    for (const one of all) if (generation === undefined && (await isOpen(one))) generation = one.generation
    generation ??= await core.generations.add(view, all)
    if (generation === undefined) continue
    // Rows before the failed event may come of the same mistake: the rebuild starts over.
    for (const left of stopped) {
      await core.store.removeViewGeneration({ name: view.name, generation: left })
      await clearStopped(core, viewConsumer(view.name, left))
    }
    return { generation, before: liveVersion(all) }
  }
}

async function fill(consumer: Runs, request: RunRequest): Promise<RunResult> {
  try {
    return await consumer.run(request)
  } catch (error) {
    if (!(error instanceof GenerationGone)) throw error
    return { state: 'more', events: 0 }
  }
}

/** Readers and commands wait from the switch on until the new rows have what was stored before it. False when others were first. */
async function switchOver(
  core: ViewCore,
  view: ViewDefinition,
  to: number,
  mayReplace: (all: readonly ViewGeneration[]) => boolean | Promise<boolean>,
): Promise<boolean> {
  const { store, generations } = core
  const { name } = view
  const all = await store.viewGenerations(name)
  const isSwitched = (await mayReplace(all)) && (await generations.switchTo(view, all, to))
  await generations.refresh(view)
  if (!isSwitched) return false
  const from = liveGeneration(all)
  for (const { generation } of await store.viewGenerations(name))
    if (generation < from) await store.removeViewGeneration({ name, generation })
  return true
}

/** Brings a generation that has gone live up to the end of the log, and says that it is. Ends when it has, whoever did it, or when another one is live. */
export async function settle(core: ViewCore, view: ViewDefinition, consumer: Runs, generation: number): Promise<void> {
  const { store, runtime } = core
  const until = await endOf(core)
  const finish = async (lane: Lane) => {
    await lane.save(lane.position, { views: [settledWrite(view.name, generation)] })
  }
  const isLive = async () => liveGeneration(await store.viewGenerations(view.name)) === generation
  const isStanding = standstillOf(core, consumer)
  while (!(await isSettled(core, view.name, generation)) && (await isLive())) {
    consumer.lookAgain()
    const { state, error } = await fill(consumer, { until, finish })
    if (state === 'stopped' || (state === 'outdated' && (await isStanding(waitMs)))) throw error
    if (state !== 'caught-up') await runtime.sleep(state === 'outdated' ? waitMs : waitMs * runtime.random())
  }
}
