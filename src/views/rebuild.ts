import { liveGeneration } from '../store/generations.ts'
import type { RunRequest, RunResult } from '../subscriptions/consumption.ts'
import type { ViewDefinition } from '../subscriptions/definitions.ts'
import { endOf, type Lane, saveRows } from '../subscriptions/lane.ts'
import type { Runs } from '../subscriptions/runs.ts'
import { progressOf, type RebuildOptions } from './rebuild-handle.ts'
import type { ViewCore } from './view-core.ts'

/** What fills a generation of the view. */
export type ConsumerOf = (generation: number) => Runs

const sliceMs = 500
const waitMs = 20

/** A generation beside the live one that is to be filled by this version of the view: the one that was begun, else a new one. */
export async function nextGeneration({ store }: ViewCore, { name, viewVersion }: ViewDefinition): Promise<number> {
  for (;;) {
    const all = await store.viewGenerations(name)
    const begun = all.find((one) => one.state === 'building' && one.viewVersion === viewVersion)
    if (begun !== undefined) return begun.generation
    const generation = Math.max(liveGeneration(all), ...all.map((one) => one.generation)) + 1
    if (await store.addViewGeneration({ name, generation, viewVersion })) return generation
  }
}

/** Some of the way to rows of this version, and the switch to them at the end. */
export async function rebuildStep(
  core: ViewCore,
  view: ViewDefinition,
  consumerOf: ConsumerOf,
  request: RunRequest,
): Promise<RunResult> {
  const generation = await nextGeneration(core, view)
  const result = await consumerOf(generation).run({ ...request, until: await endOf(core) })
  if (result.state === 'caught-up') await switchOver(core, view, generation)
  return result
}

/** Rebuilds the rows beside the live ones, then switches. @throws StoppedError at an event that cannot be folded, and the signal's reason */
export async function rebuild(
  core: ViewCore,
  view: ViewDefinition,
  consumerOf: ConsumerOf,
  { onProgress, signal }: RebuildOptions,
): Promise<void> {
  const { store, runtime } = core
  const generation = await nextGeneration(core, view)
  const consumer = consumerOf(generation)
  const report = await progressOf(core, consumer, await endOf(core), onProgress)
  consumer.lookAgain()
  for (;;) {
    signal?.throwIfAborted()
    const own = (await store.viewGenerations(view.name)).find((one) => one.generation === generation)
    if (own === undefined || own.state !== 'building') break
    const { state, error, events } = await consumer.run({ budgetMs: sliceMs, until: await endOf(core), signal })
    if (state === 'stopped') throw error
    if (state === 'caught-up') {
      signal?.throwIfAborted()
      await switchOver(core, view, generation)
      break
    }
    await report(false)
    if (events === 0) await runtime.sleep(waitMs, signal)
  }
  await report(true)
}

/** Readers and commands wait from the switch on until the new rows have what was stored before it. */
async function switchOver(core: ViewCore, view: ViewDefinition, to: number): Promise<void> {
  const { store, generations } = core
  const { name } = view
  const all = await store.viewGenerations(name)
  const from = liveGeneration(all)
  await setUnsettled(core, view, to, all.find(({ generation }) => generation === from)?.viewVersion ?? '1')
  await store.switchViewGeneration({ name, from, to })
  await generations.refresh(view)
  for (const { generation } of await store.viewGenerations(name))
    if (generation < from) await store.removeViewGeneration({ name, generation })
}

async function setUnsettled(
  core: ViewCore,
  { name, viewVersion }: ViewDefinition,
  generation: number,
  before: string,
): Promise<void> {
  for (;;) {
    const write = await core.generations.unsettledWrite(name, generation, viewVersion, before)
    if ((await saveRows(core, [write])) === 'saved') return
  }
}

/** Brings a generation that has just gone live up to the end of the log, and says that it is. */
export async function settle(core: ViewCore, view: ViewDefinition, consumer: Runs, generation: number): Promise<void> {
  const { generations, runtime } = core
  const until = await endOf(core)
  const finish = async (lane: Lane) => {
    await lane.save(lane.position, { views: [await generations.settledWrite(view.name)] })
  }
  consumer.lookAgain()
  while (await generations.isUnsettled(view.name, generation)) {
    const { state, error } = await consumer.run({ until, finish })
    if (state === 'stopped') throw error
    if (state !== 'caught-up') await runtime.sleep(waitMs * runtime.random())
  }
}
