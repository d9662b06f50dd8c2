import { DefinitionError } from '../errors.ts'
import { checkOptions } from '../options.ts'

/** The store's tables and what each is called unless told otherwise. */
const defaults = {
  events: 'events',
  snapshots: 'snapshots',
  idempotencyKeys: 'idempotency_keys',
  views: 'views',
  viewIndexes: 'view_indexes',
  viewGenerations: 'view_generations',
  checkpoints: 'checkpoints',
  leases: 'leases',
  sequencer: 'cqrs_es_sequencer',
  schemaVersion: 'cqrs_es_schema',
}

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
  checkOptions('mysqlStore: tables', tables, Object.keys(defaults))
  const of = { ...defaults, ...tables }
  if (database !== undefined) checkName('database', database)
  for (const [table, name] of Object.entries(of)) checkName(`tables.${table}`, name)
  // Names of tables are compared without case on some systems: lower_case_table_names.
  const all = Object.values(of).map((name) => name.toLowerCase())
  const twice = all.find((name, at) => all.indexOf(name) !== at)
  if (twice !== undefined) throw new DefinitionError(`mysqlStore: two tables are called '${twice}'.`)
  const full = (name: string) => (database === undefined ? `\`${name}\`` : `\`${database}\`.\`${name}\``)
  return {
    /** For look-ups in `information_schema`. */
    databaseText: database === undefined ? 'DATABASE()' : `'${database}'`,
    eventsText: `'${of.events}'`,
    snapshotsText: `'${of.snapshots}'`,
    triggerText: `'${of.events}_position'`,
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
    append: full(`${of.events}_append_v1`),
    trigger: full(`${of.events}_position`),
  }
}

function checkName(what: string, name: unknown): void {
  if (typeof name === 'string' && name.length <= longest && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return
  throw new DefinitionError(
    `mysqlStore: ${what} must be a name of up to ${longest} letters, digits and underscores, not ${JSON.stringify(name)}.`,
  )
}
