import { DefinitionError } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import { KeyedQueue } from '../execution/keyed-queue.ts'
import { Generations } from './generations.ts'
import { sendWithViews } from './inline.ts'
import type { ReadSide, ViewDefinition } from './view-definition.ts'
import { viewsOf } from './views.ts'

/** Connects the views of an app; comes with each view, so that a program without views does not load it. @throws DefinitionError */
export function connectViews(core: Core, views: readonly ViewDefinition[], aggregateTypes: readonly string[]): ReadSide {
  checkViewsAreFed(views, aggregateTypes)
  const viewCore = { ...core, generations: new Generations(core.store), rowQueue: new KeyedQueue() }
  return {
    sendWithViews: (definition) => {
      const inlineViews = views.filter((view) => view.aggregateTypes.includes(definition.type))
      return inlineViews.length === 0 ? undefined : sendWithViews(viewCore, definition, inlineViews)
    },
    viewsOf: (view, lifecycle) => viewsOf(viewCore, view, lifecycle),
  }
}

function checkViewsAreFed(views: readonly ViewDefinition[], known: readonly string[]): void {
  for (const { name, aggregateTypes } of views)
    for (const type of aggregateTypes)
      if (!known.includes(type))
        throw new DefinitionError(
          `createApp: the view '${name}' follows the aggregate '${type}', which is not among aggregates: it would miss events.`,
        )
}
