import type { Machinery } from '../consumers/definitions.ts'
import { consumerHandle } from '../consumers/handle.ts'
import { connectReadSide } from '../consumers/read-side.ts'
import { LogConsumer } from '../consumers/sources/log.ts'
import { DefinitionError } from '../errors.ts'
import { rebuildOf } from './rebuild-handle.ts'
import { rebuildSql } from './sql-rebuild.ts'
import { SqlRows } from './sql-rows.ts'
import type { SqlViewDefinition } from './view-definition.ts'

/** Runs views that consist of the user's own tables. */
export const sqlViewMachinery: Machinery<SqlViewDefinition> = {
  connect: connectReadSide,
  run: (core, [first]) => {
    if (core.store.transact === undefined)
      throw new DefinitionError(
        `createApp: the view '${first?.name}' is made by defineSqlView, which needs a store that runs your statements in its transactions. Use Postgres, MySQL or SQLite.`,
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
