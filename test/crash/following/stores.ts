import { join } from 'node:path'
import { privateFolder } from '../../servers/child.ts'
import { freshDatabase } from '../../servers/fresh.ts'
import type { StoreName } from '../../servers/stores.ts'

/** A store that several processes open by its address. */
export interface SharedStore {
  readonly store: StoreName
  readonly name: string
  /** Address of a new, empty database. */
  fresh(): Promise<string>
}

export const sharedStores: readonly SharedStore[] = [
  { store: 'postgres', name: 'Postgres', fresh: () => freshDatabase('postgres') },
  { store: 'mariadb', name: 'MariaDB', fresh: () => freshDatabase('mariadb') },
  { store: 'sqlite', name: 'SQLite', fresh: async () => join(await privateFolder('following'), 'log.db') },
]
