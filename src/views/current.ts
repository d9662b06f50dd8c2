import type { Consumer } from '../consumers/consumer.ts'
import type { RunRequest, RunResult } from '../consumers/core.ts'
import { standstillOf } from '../consumers/outdated.ts'
import { endOf } from '../consumers/positions.ts'
import { liveGeneration } from '../store/generations.ts'
import { GenerationGone } from './fold-rows.ts'
import { isReady, readyWrite } from './generation-ready.ts'
import type { Target } from './generations.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'

const waitMs = 20

/**
 * Returns the generation in use once it is ready. Rows of another version are read from the store
 * again, which ends with a rebuild.
 */
export async function currentRows(core: ViewCore, view: ViewDefinition): Promise<Target> {
  const known = core.generations.known(view)
  return known?.isOwn ? known : currentRowsNow(core, view)
}

/** Returns the generation in use once it is ready, always read from the store. */
export async function currentRowsNow(core: ViewCore, view: ViewDefinition): Promise<Target> {
  for (;;) {
    const found = await core.generations.look(view)
    if (found.isReady) return core.generations.remember(view, found)
    await waitUntilReady(core, view, found.generation)
  }
}

/**
 * Waits until a live generation has processed the log and is ready, filling it if necessary. Also
 * ends when another generation is live.
 */
async function waitUntilReady(core: ViewCore, view: ViewDefinition, generation: number): Promise<void> {
  const { store, runtime } = core
  const until = await endOf(core)
  const finish = [readyWrite(view.storedAs, generation)]
  const consumer = core.consumerOf(view, generation)
  const isLive = async () => liveGeneration(await store.viewGenerations(view.storedAs)) === generation
  const isStanding = standstillOf(core, consumer)
  while (!(await isReady(core, view.storedAs, generation)) && (await isLive())) {
    consumer.lookAgain()
    const { state, error } = await fill(consumer, { until, finish })
    if (state === 'stopped' || (state === 'outdated' && (await isStanding(waitMs)))) throw error
    if (state !== 'caught-up') await runtime.sleep(state === 'outdated' ? waitMs : waitMs * runtime.random())
  }
}

/**
 * Runs the consumer that fills a generation. Returns `more` if another process filled it meanwhile.
 */
export async function fill(consumer: Consumer, request: RunRequest): Promise<RunResult> {
  try {
    return await consumer.run(request)
  } catch (error) {
    if (!(error instanceof GenerationGone)) throw error
    return { state: 'more', events: 0 }
  }
}
