import { DefinitionError } from '../errors.ts'
import { checkOptions } from '../util/options.ts'

/** The tables that the SQL servers' stores have in common, and what each is called unless told otherwise. */
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

/** What the tables are called. @throws DefinitionError for one that is not there, a name that is no plain identifier, or one that two have */
export function tableNames<T extends Readonly<Record<string, string>>>(
  store: string,
  defaults: T,
  chosen: { readonly [K in keyof T]?: string },
  longest: number,
): { readonly [K in keyof T]: string } {
  checkOptions(`${store}: tables`, chosen, Object.keys(defaults))
  const names = { ...defaults, ...chosen }
  for (const [table, name] of Object.entries(names)) checkName(store, `tables.${table}`, name, longest)
  // Some systems compare them without case: lower_case_table_names of MySQL.
  const all = Object.values(names).map((name) => String(name).toLowerCase())
  const twice = all.find((name, at) => all.indexOf(name) !== at)
  if (twice !== undefined) throw new DefinitionError(`${store}: two tables are called '${twice}'.`)
  return names
}

/** @throws DefinitionError for a name that is no plain identifier */
export function checkName(store: string, what: string, name: unknown, longest: number): void {
  if (typeof name === 'string' && name.length <= longest && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return
  throw new DefinitionError(
    `${store}: ${what} must be a name of up to ${longest} letters, digits and underscores, not ${JSON.stringify(name)}.`,
  )
}

/**
 * The ending of the names of functions in the database: `v1` while all tables but the events have their usual names.
 *
 * A function names several tables, so stores that share only some of their tables need functions of their own.
 */
export const functionEnding = <T extends Readonly<Record<string, string>>>(
  defaults: T,
  names: { readonly [K in keyof T]: string },
): string =>
  Object.entries(names).every(([table, name]) => table === 'events' || name === defaults[table])
    ? 'v1'
    : digest(Object.values(names).join())

/** FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv */
export function digest(text: string): string {
  let hash = 0x811c9dc5
  for (const character of text) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
