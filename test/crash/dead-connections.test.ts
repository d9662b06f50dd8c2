import type { Store } from 'cqrs-es'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { withResentReads } from '../../src/execution/resent-reads.ts'
import { type CuttingProxy, type Fate, startProxy } from '../servers/proxy.ts'
import { unselected } from '../servers/stores.ts'
import { everySecond } from '../strength.ts'
import { isResend, leaping } from '../support/runtime.ts'
import { type Bank, openBank } from './accounts.ts'
import { type CrashServer, crashStores } from './servers.ts'

/** Connections that turn out to be dead one after another when they are used: nearly all of a pool. */
const dead = 3

/** Waits before a request is sent again are this many times shorter. */
const hurry = 50

for (const [nth, kind] of crashStores.entries())
  describe.skipIf(unselected(kind.store))(`${kind.name} on connections that died while they were idle`, () => {
    let server: CrashServer
    let proxy: CuttingProxy
    let client: ReturnType<typeof kind.connect>
    let direct: ReturnType<typeof kind.connect>
    let bank: Bank
    let store: Store
    /** How many of the next requests are cut, and how. */
    let armed: Fate[] = []
    let cut = 0
    beforeAll(async () => {
      server = await kind.startServer({ durable: false })
      proxy = await startProxy({
        to: server.port,
        random: () => 0.5,
        isTarget: () => armed.length > 0,
        fate: () => {
          cut++
          return armed.pop()
        },
        strays: 0,
        holdMs: 0,
      })
      direct = kind.connect(server.port)
      await direct.store.createSchema()
      client = kind.connect(proxy.port)
      store = withResentReads(client.store, leaping(isResend))
      bank = openBank(client.store, hurry)
      await bank.aggregates.account.execute('account-1', { type: 'Move', data: { by: 5 } }, { idempotencyKey: 'first' })
    })
    afterAll(async () => {
      await client?.close()
      await direct?.close()
      await proxy?.close()
      await server?.stop()
    })
    beforeEach(async () => {
      armed = []
      cut = 0
      // As many connections as the pool has, all of them idle then.
      await Promise.all(Array.from({ length: 4 }, () => client.store.readCheckpoint('nothing')))
    })

    /** Runs it while the next requests find that their connections are dead: they never arrive, or their answers are lost. */
    async function withDeadConnections<T>(call: () => Promise<T>, fate: Fate = 'request'): Promise<T> {
      cut = 0
      armed = Array.from({ length: dead }, () => fate)
      const answer = await call()
      expect([armed, cut]).toEqual([[], dead])
      return answer
    }

    const account = { aggregateType: 'account', aggregateId: 'account-1', after: 0 }
    const key = { ...account, idempotencyKey: 'first' }
    const view = { name: 'balances', generation: 'live', id: 'account-1' } as const

    const calls: readonly (readonly [string, () => Promise<unknown>, object | undefined])[] = [
      ['load', () => bank.aggregates.account.load('account-1'), { sequence: 1, state: { balance: 5 } }],
      ['a view', () => bank.views.balances.load('account-1'), { id: 'account-1', view: { balance: 5 } }],
      ['a search', () => bank.views.balances.find({}), { items: [{ id: 'account-1' }] }],
      ['ids', () => bank.aggregates.account.ids(), { items: ['account-1'] }],
      [
        'a repeated command',
        () => bank.aggregates.account.execute('account-1', { type: 'Move', data: { by: 5 } }, { idempotencyKey: 'first' }),
        { ok: true, replayed: true, sequence: 1 },
      ],
      [
        'the first command of a program',
        () => openBank(client.store, hurry).aggregates.counter.execute('c', { type: 'Count', data: { by: 1 } }),
        { ok: true, sequence: 1 },
      ],
      [
        'a command on a known state',
        () => bank.aggregates.counter.execute('known', { type: 'Count', data: { by: 1 } }),
        { ok: true, sequence: 1 },
      ],
      ['readAggregate', () => store.readAggregate(account), { events: [{ sequence: 1 }] }],
      ['readKey', () => store.readKey(key), { lastSequence: 1 }],
      ['readViews', () => store.readViews([view]), [{ view: { balance: 5 } }]],
      ['findViews', () => store.findViews({ ...view, where: [], limit: 9 }), { items: [{ id: 'account-1' }] }],
      ['readIds', () => store.readIds({ aggregateType: 'account', limit: 9 }), { items: ['account-1'] }],
      ['viewGenerations', () => store.viewGenerations('nothing'), []],
      ['readCheckpoint', () => store.readCheckpoint('nothing'), undefined],
      ['readConsumers', async () => store.readConsumers?.(['nothing', 'nobody']), [{}, {}]],
    ]

    // The core sends again what failed, so that by day each store meets every second call.
    test.each(everySecond(calls, nth))('%s succeeds when its first connections are dead', async (_, call, answer) => {
      const actual = await withDeadConnections(call)
      if (answer === undefined) expect(actual).toBeUndefined()
      else expect(actual).toMatchObject(answer)
    })

    test.skipIf(kind.store === 'dynamodb')('the log is read when its first connections are dead', async () => {
      expect((await withDeadConnections(() => store.readFeed({ limit: 1 }))).events).toHaveLength(1)
      expect(await withDeadConnections(() => store.lastPosition())).toBeDefined()
      expect(await withDeadConnections(() => store.endPosition())).toBeDefined()
    })

    test.each(['request', 'sent'] as const)('a lease is taken, renewed and released when each %s is cut', async (fate) => {
      const lease = { name: `lease-${fate}`, holder: 'me', ttlMs: 60_000 }
      const taken = await withDeadConnections(() => store.acquireLease(lease), fate)
      const fence = taken.acquired ? taken.fence : 0
      const other = { ...lease, holder: 'other' }
      expect(await direct.store.acquireLease(other)).toMatchObject({ acquired: false, holder: 'me' })
      expect(await withDeadConnections(() => store.renewLease({ ...lease, fence }), fate)).toBe(true)
      const checkpoint = { name: lease.name, fence, position: '1' }
      expect(await direct.store.append([{ id: `c-${fate}`, appends: [], checkpoint }])).toMatchObject([{ kind: 'stored' }])
      await withDeadConnections(() => store.releaseLease({ name: lease.name, fence }), fate)
      expect(await direct.store.acquireLease(other)).toMatchObject({ acquired: true })
    })

    test('a store that stays down rejects with STORE_UNAVAILABLE', async () => {
      armed = Array.from({ length: 1_000 }, () => 'request')
      await expect(bank.aggregates.account.load('account-1')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    })
  })
