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

/** Everything the store has in the database, quoted and with its schema, ready to stand in a statement. */
export type Names = ReturnType<typeof namesOf>

/** Longer ones would leave no room for the endings of indexes and functions in the 63 bytes of an identifier. */
const longest = 40

/** @throws DefinitionError for a name that is no plain identifier */
export function namesOf(schema: string, tables: PostgresTables) {
  const of = tableNames('postgresStore', commonTables, tables, longest)
  checkName('postgresStore', 'schema', schema, longest)
  const full = (name: string) => `"${schema}"."${name}"`
  const own = functionEnding(commonTables, of)
  return {
    schema: `"${schema}"`,
    /** For look-ups in the catalogue; quoted as text. */
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
    horizon: full(`${of.events}_horizon_${own}`),
    feed: full(`${of.events}_feed_${own}`),
    acquireLease: full(`${of.leases}_acquire_${own}`),
    addGeneration: full(`${of.viewGenerations}_add_${own}`),
    switchGeneration: full(`${of.viewGenerations}_switch_${own}`),
    removeGeneration: full(`${of.viewGenerations}_remove_${own}`),
    /** Advisory locks of view generations start with this text. */
    generationLock: `'${schema}.${of.viewGenerations}.'`,
    /** Where commits are told. The two names in full may not fit; who shares it by chance is woken in vain. */
    channel: `cqrs_es_${digest(`${schema}.${of.events}`)}`,
  }
}
