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

for (const { name, notApplicable, run } of cases)
  test.skipIf(notApplicable !== undefined)(notApplicable === undefined ? name : `${name} (not applicable: ${notApplicable})`, run)

test('each case has a name of its own', () => {
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
})
