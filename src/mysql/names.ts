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

/** Names of all objects, with quotes and the given database, ready for statements. */
export type Names = ReturnType<typeof namesOf>

/** An identifier has up to 64 characters, which must hold the suffixes of procedures, too. */
const longest = 48

/** @throws DefinitionError unless all names are plain identifiers */
export function namesOf(database: string | undefined, tables: MysqlTables) {
  const of = tableNames('mysqlStore', defaults, tables, longest)
  if (database !== undefined) checkName('mysqlStore', 'database', database, longest)
  const full = (name: string) => (database === undefined ? `\`${name}\`` : `\`${database}\`.\`${name}\``)
  const ending = functionEnding(defaults, of)
  const append = `${of.events}_append_${ending}`
  const acquireLease = `${of.leases}_acquire_${ending}`
  return {
    /** Quoted as text, for queries of `information_schema`. */
    databaseText: database === undefined ? 'DATABASE()' : `'${database}'`,
    eventsText: `'${of.events}'`,
    snapshotsText: `'${of.snapshots}'`,
    triggerText: `'${of.events}_position'`,
    procedureTexts: [`'${append}'`, `'${acquireLease}'`],
    /** In lower case, because some systems store them so. */
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
