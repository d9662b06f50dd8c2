import type { Machinery } from '../consumers/definitions.ts'
import { connectReadSide } from '../consumers/read-side.ts'
import { KeyedQueue } from '../execution/keyed-queue.ts'
import { Generations } from './generations.ts'
import { sendWithViews } from './inline.ts'
import type { ViewCore } from './view-core.ts'
import type { ViewDefinition } from './view-definition.ts'
import { ViewFollower } from './view-follower.ts'
import { viewsOf } from './views.ts'

/** What runs views of rows. */
export const viewMachinery: Machinery<ViewDefinition> = {
  connect: connectReadSide,
  run: (core, views) => {
    const viewCore: ViewCore = {
      ...core,
      generations: new Generations(core, (view, generation) => followerOf(view).settle(generation)),
      catchUps: new Map(),
      onProjected: new Set(),
      rowQueue: new KeyedQueue(),
    }
    const followers = new Map(views.map((view) => [view.name, new ViewFollower(viewCore, view)]))
    const followerOf = ({ name }: ViewDefinition) => followers.get(name) as ViewFollower
    return {
      open: (view, lifecycle) => ({
        follower: followerOf(view),
        handle: viewsOf(viewCore, view, followerOf(view), lifecycle),
      }),
      sendWithViews: (definition) => {
        const inline = views.filter(
          ({ consistency, aggregateTypes }) => consistency === 'inline' && aggregateTypes.includes(definition.type),
        )
        return inline.length === 0 ? undefined : sendWithViews(viewCore, definition, inline)
      },
    }
  },
}
