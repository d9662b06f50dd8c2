import type { Consumer } from '../consumers/consumer.ts'
import { consumerOf } from '../consumers/consumer-of.ts'
import type { ConsumerCore } from '../consumers/core.ts'
import type { Machinery } from '../consumers/definitions.ts'
import { connectReadSide } from '../consumers/read-side.ts'
import { KeyedQueue } from '../util/keyed-queue.ts'
import { FoldRows } from './fold-rows.ts'
import { Generations } from './generations.ts'
import { inlineViews } from './inline.ts'
import { ViewConsumer } from './view-consumer.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'
import { viewsOf } from './views.ts'

/** Runs views of rows. */
export const viewMachinery: Machinery<ViewDefinition> = {
  connect: connectReadSide,
  run: (core, views) => {
    const viewCore = viewCoreOf(core)
    return {
      open: (view, lifecycle) => {
        const consumer = new ViewConsumer(viewCore, view)
        return { consumer, handle: viewsOf(viewCore, view, consumer, lifecycle) }
      },
      inlineViews: (definition) => {
        const inline = views.filter(
          ({ consistency, aggregateTypes }) => consistency === 'inline' && aggregateTypes.includes(definition.type),
        )
        return inline.length === 0 ? undefined : inlineViews(viewCore, definition, inline)
      },
    }
  },
}

function viewCoreOf(core: ConsumerCore): ViewCore {
  const consumers = new Map<string, Map<number, Consumer>>()
  const begun = ({ storedAs }: ViewDefinition) => {
    const known = consumers.get(storedAs) ?? new Map<number, Consumer>()
    consumers.set(storedAs, known)
    return known
  }
  const viewCore: ViewCore = {
    ...core,
    generations: new Generations(core),
    catchUps: new Map(),
    onProjected: new Set(),
    rowQueue: new KeyedQueue(),
    consumerOf: (view, generation) => {
      const known = begun(view).get(generation) ?? consumerOf(core, new FoldRows(viewCore, view, generation))
      begun(view).set(generation, known)
      return known
    },
    begunConsumers: (view) => [...begun(view).values()],
  }
  return viewCore
}
