import { describe } from 'vitest'
import { serverUrl } from '../servers/ask.ts'
import { mysqlServers, noMysql } from '../stores/mysql-database.ts'
import { everySecond } from '../strength.ts'
import { hostConformance } from './host.ts'
import { mysqlHostThatReuses } from './mysql-host.ts'

const drivers = ['mysql2', 'mariadb'] as const

/** By day each server with one driver. */
describe.skipIf(noMysql).each(mysqlServers)('$name', ({ server }) => {
  describe.each(everySecond(drivers, server === 'mysql' ? 1 : 0))('on %s', async (driver) => {
    if (noMysql) return
    // Not within the time of the first case: the server may have to be fetched.
    await serverUrl(server)
    await hostConformance(mysqlHostThatReuses(server, driver))
  })
})
