import { type ConformanceHost, conformanceCases } from 'cqrs-es/conformance'
import { memoryStore } from 'cqrs-es/memory'
import type { Capabilities } from 'cqrs-es/store'
import { expect, test } from 'vitest'

const hostWith = (capabilities: Partial<Capabilities>, seen: string[] = []): ConformanceHost => ({
  schema: 'none',
  async open({ schema }) {
    seen.push(schema ? 'open' : 'open without schema')
    const store = memoryStore()
    const limited = new Proxy(store, {
      get: (target, name) => {
        const value = name === 'capabilities' ? { ...target.capabilities, ...capabilities } : Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    return { store: limited, connect: async () => limited, close: async () => void seen.push('close') }
  },
})

const named = async (host: ConformanceHost, name: string) => {
  const found = (await conformanceCases(host)).find((c) => c.name === name)
  if (!found) throw new Error(`There is no case named '${name}'`)
  return found
}

test('names of cases are unique sentences', async () => {
  const names = (await conformanceCases(hostWith({}))).map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  for (const name of names) expect(name).toMatch(/^\S.* .*[^\s.]$/)
})

test('the suite skips cases for capabilities that a store does not claim', async () => {
  const none: Capabilities = {
    globalOrder: false,
    push: false,
    appendsPerCommit: 1,
    itemsPerCommit: 100,
    bytesPerCommit: 4_000_000,
    bytesPerEvent: 400_000,
  }
  const cases = await conformanceCases(hostWith(none))
  const reasons = new Map(cases.map(({ name, notApplicable }) => [name, notApplicable]))
  expect(reasons.get('an empty log has no position and no events')).toBe('the store has no global order')
  expect(reasons.get('a watcher is woken after a commit')).toBe('the store has no push wake-up')
  expect(reasons.get('a transaction runs its function once and moves the checkpoint')).toBe('the store has no `transact`')
  expect(reasons.get('two aggregates in one commit are stored both or neither')).toBe('a commit takes one append')
  expect(reasons.get('101 events in one commit are stored whole')).toBe('a commit takes 100 items')
  expect(reasons.get('26 events in one commit are stored whole')).toBeUndefined()
  expect(reasons.get('a payload of 1 MB is read back whole')).toBe('an event takes 400000 bytes')
  expect(reasons.get('every read without a schema rejects with SCHEMA_MISSING')).toBe('the store works without a schema')
  expect(reasons.get('one of eight concurrent creations wins')).toBeUndefined()
})

test('a case that does not apply opens no database', async () => {
  const seen: string[] = []
  const { run } = await named(hostWith({ push: false }, seen), 'a watcher is woken after a commit')
  await run()
  expect(seen).toEqual(['open', 'close'])
})

test('a case closes its database even if it fails', async () => {
  const seen: string[] = []
  const claims = { itemsPerCommit: 2 }
  const { run } = await named(hostWith(claims, seen), 'a commit above itemsPerCommit fails and names the limit')
  await expect(run()).rejects.toMatchObject({
    name: 'ConformanceFailure',
    actual: { kind: 'stored' },
    expected: { kind: 'failed' },
  })
  expect(seen).toEqual(['open', 'close', 'open', 'close'])
})
