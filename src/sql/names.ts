import { DefinitionError } from '../errors.ts'
import { checkOptions } from '../util/options.ts'

/** Default names of the tables that the stores for SQL servers have in common. */
export const commonTables = {
  events: 'events',
  snapshots: 'state_snapshots',
  idempotencyKeys: 'idempotency_keys',
  views: 'views',
  viewIndexes: 'view_indexes',
  viewGenerations: 'view_generations',
  checkpoints: 'checkpoints',
  leases: 'leases',
  schemaVersion: 'cqrs_es_schema',
}

/**
 * Returns the names of all tables: the chosen ones, else the defaults.
 *
 * @throws DefinitionError for an unknown table, an invalid name, or a name that is used twice
 */
export function tableNames<T extends Readonly<Record<string, string>>>(
  store: string,
  defaults: T,
  chosen: { readonly [K in keyof T]?: string },
  longest: number,
): { readonly [K in keyof T]: string } {
  checkOptions(`${store}: tables`, chosen, Object.keys(defaults))
  const names = { ...defaults, ...chosen }
  for (const [table, name] of Object.entries(names)) checkName(store, `tables.${table}`, name, longest)
  // Some systems ignore case here, for example MySQL with lower_case_table_names.
  const all = Object.values(names).map((name) => String(name).toLowerCase())
  const twice = all.find((name, at) => all.indexOf(name) !== at)
  if (twice !== undefined)
    throw new DefinitionError(`${store}: the table name '${twice}' is used twice. Give each table its own name.`)
  return names
}

/** @throws DefinitionError unless the name is a plain identifier of up to `longest` characters */
export function checkName(store: string, what: string, name: unknown, longest: number): void {
  if (typeof name === 'string' && name.length <= longest && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return
  throw new DefinitionError(
    `${store}: ${what} must be a name of up to ${longest} letters, digits and underscores, not ${JSON.stringify(name)}.`,
  )
}

/**
 * Suffix of the names of database functions: `v1` if all tables but the events have default names.
 *
 * A function names several tables, so stores that share only some tables need separate functions.
 */
export const functionEnding = <T extends Readonly<Record<string, string>>>(
  defaults: T,
  names: { readonly [K in keyof T]: string },
): string =>
  Object.entries(names).every(([table, name]) => table === 'events' || name === defaults[table])
    ? 'v1'
    : digest(Object.values(names).join())

/** FNV-1a hash: http://www.isthe.com/chongo/tech/comp/fnv */
export function digest(text: string): string {
  let hash = 0x811c9dc5
  for (const character of text) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
