import { type ConformanceHost, conformanceCases } from 'cqrs-es/conformance'
import { memoryStore } from 'cqrs-es/memory'
import { expect, test } from 'vitest'

const host: ConformanceHost = {
  schema: 'none',
  async open() {
    const store = memoryStore()
    return { store, connect: async () => store, close: async () => {} }
  },
}

const cases = await conformanceCases(host)

/** The memory store remembers only the last commit of a checkpoint. */
const unmet = [
  'a checkpoint does not go back when an older commit is sent again',
  'a commit sent again after the next holder has written its checkpoint is repeated',
]

for (const c of cases) {
  if (unmet.includes(c.name)) test.fails(c.name, c.run)
  else test.skipIf(c.notApplicable !== undefined)(c.name, c.run)
}

test('each case has a name of its own', () => {
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
})
