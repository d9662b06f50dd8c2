import type { ConsumerCore } from '../consumers/core.ts'
import type { Machinery } from '../consumers/definitions.ts'
import { connectReadSide } from '../consumers/read-side.ts'
import { DefinitionError } from '../errors.ts'
import { isPosition } from '../util/names.ts'
import type { ProcessDefinition } from './definition.ts'
import { processHandle } from './handle.ts'
import { ProcessConsumer } from './process-consumer.ts'
import type { Execute } from './work-core.ts'

/** The parts of an app that processes need. */
interface Parts {
  readonly '~parts': { readonly execute: Execute; readonly isForeign: (error: unknown) => boolean }
}

/** Runs processes. */
export const processMachinery: Machinery<ProcessDefinition> = {
  connect: connectReadSide,
  run: (core, processes) => {
    for (const process of processes) checkFits(core, process)
    return {
      open: (process, lifecycle, app) => {
        const { execute, isForeign } = (app as Parts)['~parts']
        const consumer = new ProcessConsumer(core, process, execute, isForeign)
        return { consumer, handle: processHandle(core, consumer, lifecycle) }
      },
    }
  },
}

/** @throws DefinitionError */
function checkFits({ definitions, store }: ConsumerCore, process: ProcessDefinition): void {
  const at = `createApp: the process '${process.name}'`
  for (const type of process.sends.keys())
    if (!definitions.has(type))
      throw new DefinitionError(`${at} sends commands to the aggregate '${type}', which is not among aggregates.`)
  if (store.capabilities.globalOrder) return
  if (isPosition(process.from))
    throw new DefinitionError(`${at}: this store has no global order, so from must be 'beginning' or 'now'.`)
  const starts = [...process.starts].filter((type) => process.correlate.has(type))
  if (starts.length > 0 && [...process.on.keys()].some((type) => !process.starts.has(type)))
    throw new DefinitionError(
      `${at} correlates '${starts[0]}', an event in starts. On a store without a global order, an instance must start under the id of the aggregate, unless all events of on are in starts.`,
    )
}
