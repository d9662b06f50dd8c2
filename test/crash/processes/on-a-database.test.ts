import type { TestDatabase } from 'cqrs-es/conformance'
import { afterEach, describe, expect, test } from 'vitest'
import { databases } from '../../conformance/hosts.ts'
import { atStrength } from '../../strength.ts'
import { fulfilOrders } from './orders.ts'

describe.each(databases)('on $name', ({ name, skipped, host }) => {
  const opened: TestDatabase[] = []
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((one) => one.close()))
  })
  const rounds = name.startsWith('SQLite') ? atStrength({ moderate: 3, full: 200 }) : atStrength({ moderate: 1, full: 50 })

  test.skipIf(skipped)('no command is lost or stored twice when workers die at any call', async () => {
    for (let seed = 1; seed <= rounds; seed++) {
      const database = await host.open({ schema: true })
      opened.push(database)
      const { problems, shipped, canceled } = await fulfilOrders(database.store, seed, 'together', 8)
      expect(problems).toEqual([])
      expect(shipped + canceled).toBe(8)
    }
  })
})
