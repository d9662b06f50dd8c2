import { checkName, commonTables, digest, functionEnding, tableNames } from '../sql/names.ts'

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
export type PostgresTables = { readonly [K in keyof typeof commonTables]?: string }

/** Names of all objects in the database, with schema and quotes, ready for statements. */
export type Names = ReturnType<typeof namesOf>

/** An identifier has up to 63 bytes, which must hold the suffixes of indexes and functions, too. */
const longest = 40

/** @throws DefinitionError unless all names are plain identifiers */
export function namesOf(schema: string, tables: PostgresTables) {
  const of = tableNames('postgresStore', commonTables, tables, longest)
  checkName('postgresStore', 'schema', schema, longest)
  const full = (name: string) => `"${schema}"."${name}"`
  const own = functionEnding(commonTables, of)
  return {
    schema: `"${schema}"`,
    /** Quoted as text, for queries of the catalog. */
    schemaText: `'${schema}'`,
    eventsText: `'${of.events}'`,
    triggerText: `'${of.events}_lock_horizon'`,
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
    checkSession: full(`${of.events}_check_${own}`),
    append: full(`${of.events}_append_${own}`),
    read: full(`${of.events}_read_${own}`),
    horizon: full(`${of.events}_horizon_${own}`),
    feed: full(`${of.events}_feed_${own}`),
    acquireLease: full(`${of.leases}_acquire_${own}`),
    addGeneration: full(`${of.viewGenerations}_add_${own}`),
    switchGeneration: full(`${of.viewGenerations}_switch_${own}`),
    removeGeneration: full(`${of.viewGenerations}_remove_${own}`),
    /** Prefix of the keys of advisory locks for view generations. */
    generationLock: `'${schema}.${of.viewGenerations}.'`,
    /**
     * Channel of notifications. A digest, since full names may be too long; a collision only causes
     * needless wake-ups.
     */
    channel: `cqrs_es_${digest(`${schema}.${of.events}`)}`,
  }
}
