import type { ConformanceHost } from 'cqrs-es/conformance'
import { memoryStore } from 'cqrs-es/memory'
import { expect, test } from 'vitest'
import { hostConformance } from './host.ts'

const host: ConformanceHost = {
  schema: 'none',
  async open() {
    const store = memoryStore()
    return { store, connect: async () => store, close: async () => {} }
  },
}

const cases = await hostConformance(host)

test('each conformance case has a unique name', () => {
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
})
