import { checkName, commonTables, functionEnding, tableNames } from '../sql/names.ts'

const defaults = { ...commonTables, sequencer: 'cqrs_es_sequencer' }

/**
 * Names of the store's tables, each optional.
 *
 * @example
 * ```ts
 * import type { MysqlTables } from 'cqrs-es/mysql'
 *
 * export const tables: MysqlTables = { events: 'bank_events', snapshots: 'bank_snapshots' }
 * ```
 */
export type MysqlTables = { readonly [K in keyof typeof defaults]?: string }

/** Everything the store has in the database, quoted and with its database where one was given, ready to stand in a statement. */
export type Names = ReturnType<typeof namesOf>

/** Longer ones would leave no room for the endings of procedure and trigger in the 64 characters of an identifier. */
const longest = 48

/** @throws DefinitionError for a name that is no plain identifier */
export function namesOf(database: string | undefined, tables: MysqlTables) {
  const of = tableNames('mysqlStore', defaults, tables, longest)
  if (database !== undefined) checkName('mysqlStore', 'database', database, longest)
  const full = (name: string) => (database === undefined ? `\`${name}\`` : `\`${database}\`.\`${name}\``)
  const ending = functionEnding(defaults, of)
  const append = `${of.events}_append_${ending}`
  const acquireLease = `${of.leases}_acquire_${ending}`
  return {
    /** For look-ups in `information_schema`. */
    databaseText: database === undefined ? 'DATABASE()' : `'${database}'`,
    eventsText: `'${of.events}'`,
    snapshotsText: `'${of.snapshots}'`,
    triggerText: `'${of.events}_position'`,
    procedureTexts: [`'${append}'`, `'${acquireLease}'`],
    /** In lower case: some systems keep them so. */
    tableTexts: Object.values(of).map((name) => `'${name.toLowerCase()}'`),
    events: full(of.events),
    snapshots: full(of.snapshots),
    keys: full(of.idempotencyKeys),
    views: full(of.views),
    indexes: full(of.viewIndexes),
    generations: full(of.viewGenerations),
    checkpoints: full(of.checkpoints),
    leases: full(of.leases),
    sequencer: full(of.sequencer),
    version: full(of.schemaVersion),
    append: full(append),
    acquireLease: full(acquireLease),
    trigger: full(`${of.events}_position`),
  }
}
