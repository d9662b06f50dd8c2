import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConformanceHost } from 'cqrs-es/conformance'
import { describe, expect, test } from 'vitest'
import { root } from '../run.ts'
import { kvServer } from '../third-party-store/kv.ts'
import { kvStore } from '../third-party-store/store.ts'
import { hostConformance } from './host.ts'

const host: ConformanceHost = {
  schema: 'none',
  async open() {
    const server = kvServer()
    const connect = async () => kvStore(server.connect())
    return { store: await connect(), connect, close: async () => {} }
  },
}

const cases = await hostConformance(host)

test('a third-party store skips only cases for limits and options that it does not have', () => {
  expect([...new Set(cases.flatMap(({ notApplicable }) => notApplicable ?? []))].sort()).toEqual([
    '`acquireLease` answers no checkpoint',
    'appendsPerCommit is not limited, or to more than a test would send',
    'bytesPerEvent is not limited, or to more than a test would send',
    'itemsPerCommit is not limited, or to more than a test would send',
    'the host cannot corrupt a stored event',
    'the host cannot corrupt a stored snapshot',
    'the host cannot delete the last events of an aggregate',
    'the store has a global order',
    'the store has no `readChanges`',
    'the store has no `readConsumers`',
    'the store has no `transact`',
    'the store has no push wake-up',
    'the store works without a schema',
  ])
})

test('the third-party store imports only the port for store authors', () => {
  const folder = join(root, 'test/third-party-store')
  const sources = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'))
  const imported = sources.flatMap((source) => [...source.matchAll(/\b(?:from|import) ?\(?'([^']+)'/g)].map(([, from]) => from))
  expect(new Set(imported.filter((from) => !/^\.\/[^/]+$/.test(from ?? '')))).toEqual(new Set(['cqrs-es/store']))
})

/** What the suite cannot show: the database is away in the middle. */
describe('a lost answer of the database', () => {
  const broken = new Error('The connection was reset')
  const commit = { id: 'one', appends: [{ aggregateType: 'account', aggregateId: 'a', expectedSequence: 0, events: [event()] }] }

  test.each([true, false])(
    'a commit with a lost answer (landed: %s) is an unknown outcome and stored once when resent',
    async (lands) => {
      const server = kvServer()
      const kv = server.connect()
      let cut = true
      const create = async (key: string, value: string) => {
        if (!cut) return kv.create(key, value)
        cut = false
        if (lands) await kv.create(key, value)
        throw broken
      }
      const store = kvStore({ ...kv, create })
      const outcome = { kind: 'failed', certain: false, cause: { code: 'STORE_UNAVAILABLE', cause: broken } }
      expect(await store.append([commit])).toMatchObject([outcome])
      expect(await store.append([commit])).toEqual([{ kind: lands ? 'repeated' : 'stored', positions: ['1'] }])
      const other = kvStore(server.connect())
      const { events } = await other.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0 })
      expect(events.map(({ commitId }) => commitId)).toEqual(['one'])
    },
  )

  test('a read whose answer is lost fails, and the next one works', async () => {
    const kv = kvServer().connect()
    let cut = true
    const store = kvStore({
      ...kv,
      list: async (after, limit) => {
        if (!cut) return kv.list(after, limit)
        cut = false
        throw broken
      },
    })
    await expect(store.lastPosition()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', cause: broken })
    expect(await store.lastPosition()).toBeUndefined()
  })
})

test('a damaged entry of the log stops a reader with an error that names it', async () => {
  const kv = kvServer().connect()
  const store = kvStore(kv)
  await store.acquireLease({ name: 'mailer', holder: 'one', ttlMs: 1_000 })
  await kv.create('log/0000000000000002', '["app')
  await expect(store.lastPosition()).rejects.toMatchObject({
    code: 'STORE_CORRUPT',
    message: expect.stringContaining('log/0000000000000002'),
  })
})

function event() {
  const context = { aggregateType: 'account', aggregateId: 'a', sequence: 1, metadata: {}, commitId: 'one' }
  return {
    ...context,
    id: 'account/a/1',
    type: 'AccountOpened',
    version: '1.0',
    data: {},
    recordedAt: '2026-01-02T03:04:05.678Z',
  }
}
