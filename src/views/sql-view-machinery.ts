import type { Machinery } from '../consumers/definitions.ts'
import { followerHandle } from '../consumers/handle.ts'
import { connectReadSide } from '../consumers/read-side.ts'
import { DefinitionError } from '../errors.ts'
import { rebuildOf } from './rebuild-handle.ts'
import { SqlViewFollower } from './sql-view-follower.ts'
import type { SqlViewDefinition } from './view-definition.ts'

/** What runs views that are tables of the user's own. */
export const sqlViewMachinery: Machinery<SqlViewDefinition> = {
  connect: connectReadSide,
  run: (core, [first]) => {
    if (core.store.transact === undefined)
      throw new DefinitionError(
        `createApp: the view '${first?.name}' is made by sqlView, which needs a store that can run your statements in its transactions: one on Postgres, MySQL or SQLite.`,
      )
    return {
      open: (view, lifecycle) => {
        const follower = new SqlViewFollower(core, view)
        const handle = {
          rebuild: rebuildOf(`View '${view.name}'`, follower, lifecycle),
          ...followerHandle(core, follower, lifecycle),
        }
        return { follower, handle: Object.freeze(handle) }
      },
    }
  },
}
