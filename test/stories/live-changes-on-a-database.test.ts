import type { TestDatabase } from 'cqrs-es/conformance'
import { afterEach, describe, expect, test } from 'vitest'
import { databases } from '../conformance/hosts.ts'
import { atStrength } from '../strength.ts'
import { liveStory } from '../support/live-stories.ts'

const sorted = (rows: ReadonlyMap<string, unknown>) => [...rows].sort(([a], [b]) => (a < b ? -1 : 1))

describe.each(databases)('on $name', ({ skipped, host }) => {
  let opened: TestDatabase[] = []
  afterEach(async () => {
    await Promise.all(opened.map((one) => one.close()))
    opened = []
  })

  test.skipIf(skipped).each(['inline', 'async'] as const)(
    'find() and changes() of an %s view miss nothing while two processes write',
    async (consistency) => {
      for (let seed = 1; seed <= atStrength({ moderate: 1, full: 20 }); seed++) {
        const database = await host.open({ schema: true })
        opened.push(database)
        const { capabilities, readChanges } = database.store
        if (!capabilities.globalOrder && readChanges === undefined) return
        const rebuilds = capabilities.globalOrder
        const told = await liveStory({ connect: () => database.connect(), consistency, seed, commands: 30, rebuilds })
        for (const { kept, found } of told) expect({ seed, rows: sorted(kept) }).toEqual({ seed, rows: sorted(found) })
      }
    },
  )
})
