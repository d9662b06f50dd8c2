import type { Machinery } from '../consumers/definitions.ts'
import { consumerHandle } from '../consumers/handle.ts'
import { connectReadSide } from '../consumers/read-side.ts'
import { LogConsumer } from '../consumers/sources/log.ts'
import { DefinitionError } from '../errors.ts'
import { rebuildOf } from './rebuild-handle.ts'
import { rebuildSql } from './sql-rebuild.ts'
import { SqlRows } from './sql-rows.ts'
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
        const rows = new SqlRows(core, view)
        const consumer = new LogConsumer(core, rows)
        const handle = {
          rebuild: rebuildOf(`View '${view.name}'`, (options) => rebuildSql(core, rows, consumer, options), lifecycle),
          ...consumerHandle(core, consumer, lifecycle),
        }
        return { consumer, handle: Object.freeze(handle) }
      },
    }
  },
}
