import { checkName, commonTables, tableNames } from '../sql/names.ts'

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
    /** Where commits are told. The two names in full may not fit; who shares it by chance is woken in vain. */
    channel: `cqrs_es_${digest(`${schema}.${of.events}`)}`,
  }
}

/** FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv */
function digest(text: string): string {
  let hash = 0x811c9dc5
  for (const character of text) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
