import { describe } from 'vitest'
import { unselected } from '../servers/stores.ts'
import { drivers } from '../stores/sqlite-drivers.ts'
import { hostConformance } from './host.ts'
import { sqliteHost } from './sqlite-host.ts'

describe.skipIf(unselected('sqlite')).each(drivers)('SQLite, on $name', async (driver) => {
  if (!unselected('sqlite')) await hostConformance(sqliteHost(driver))
})
