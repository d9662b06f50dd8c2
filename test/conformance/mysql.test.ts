import { describe } from 'vitest'
import { unselected } from '../servers/stores.ts'
import { hostConformance } from './host.ts'
import { mysqlHost } from './mysql-host.ts'

describe.skipIf(unselected('mysql')).each(['mysql2', 'mariadb'] as const)('MySQL, on %s', async (driver) => {
  if (!unselected('mysql')) await hostConformance(mysqlHost(driver))
})
