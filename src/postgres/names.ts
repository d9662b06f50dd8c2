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
  schemaVersion: 'cqrs_es_schema',
}

/**
 * Names of the store's tables, each optional.
 *
 * @example
 * ```ts
 * import type { PostgresTables } from 'cqrs-es/postgres'
 *
 * export const tables: PostgresTables = { events: 'bank_events', snapshots: 'bank_snapshots' }
 * ```
 */
export type PostgresTables = { readonly [K in keyof typeof defaults]?: string }

/** Everything the store has in the database, quoted and with its schema, ready to stand in a statement. */
export type Names = ReturnType<typeof namesOf>

/** Longer ones would leave no room for the endings of indexes and functions in the 63 bytes of an identifier. */
const longest = 40

/** @throws DefinitionError for a name that is no plain identifier */
export function namesOf(schema: string, tables: PostgresTables) {
  checkOptions('postgresStore: tables', tables, Object.keys(defaults))
  const of = { ...defaults, ...tables }
  checkName('schema', schema)
  for (const [table, name] of Object.entries(of)) checkName(`tables.${table}`, name)
  const all = Object.values(of)
  const twice = all.find((name, at) => all.indexOf(name) !== at)
  if (twice !== undefined) throw new DefinitionError(`postgresStore: two tables are called '${twice}'.`)
  const full = (name: string) => `"${schema}"."${name}"`
  return {
    schema: `"${schema}"`,
    /** For look-ups in the catalogue; quoted as text. */
    schemaText: `'${schema}'`,
    eventsText: `'${of.events}'`,
    events: full(of.events),
    snapshots: full(of.snapshots),
    keys: full(of.idempotencyKeys),
    views: full(of.views),
    indexes: full(of.viewIndexes),
    generations: full(of.viewGenerations),
    checkpoints: full(of.checkpoints),
    leases: full(of.leases),
    version: full(of.schemaVersion),
    positions: full(`${of.events}_position_seq`),
    byPosition: `"${of.events}_by_position"`,
    indexesByView: `"${of.viewIndexes}_by_view"`,
    lockHorizon: full(`${of.events}_lock_horizon`),
    trigger: `"${of.events}_lock_horizon"`,
    append: full(`${of.events}_append_v1`),
    horizon: full(`${of.events}_horizon_v1`),
    feed: full(`${of.events}_feed_v1`),
    addGeneration: full(`${of.viewGenerations}_add_v1`),
    switchGeneration: full(`${of.viewGenerations}_switch_v1`),
    removeGeneration: full(`${of.viewGenerations}_remove_v1`),
    /** Advisory locks of view generations start with this text. */
    generationLock: `'${schema}.${of.viewGenerations}.'`,
  }
}

function checkName(what: string, name: unknown): void {
  if (typeof name === 'string' && name.length <= longest && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return
  throw new DefinitionError(
    `postgresStore: ${what} must be a name of up to ${longest} letters, digits and underscores, not ${JSON.stringify(name)}.`,
  )
}
