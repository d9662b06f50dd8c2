import { createApp, defineSubscription } from 'cqrs-es'
import type { TestDatabase } from 'cqrs-es/conformance'
import { afterEach, describe, expect, test } from 'vitest'
import { databases } from '../conformance/hosts.ts'
import { customer, following, type LogHandler, parts, withMoves } from '../support/customers.ts'
import { keeping } from '../support/keeping.ts'
import { newer, older, order, pay, place, placeBefore, programOf, troubles, until, viewed } from '../support/orders.ts'
import { withoutStreamWaits } from '../support/runtime.ts'

describe.each(databases)('on $name', ({ skipped, host }) => {
  let opened: TestDatabase[] = []
  // Of such hooks the last one is the first: apps are closed before their databases.
  afterEach(async () => {
    const closing = opened
    opened = []
    await Promise.all(closing.map((one) => one.close()))
  })
  const kept = keeping()

  test.skipIf(skipped)('a split event reaches handlers, batches and views with all parts, also after it was parked', async () => {
    const database = await host.open({ schema: true })
    opened.push(database)
    const { store } = database
    await withMoves(store, 'c', 'c')
    const [seen, batched]: [string[], string[]] = [[], []]
    let isBroken = true
    const handle: LogHandler = ({ id }) => {
      if (id.endsWith('.2') && isBroken) throw new Error('no phone')
      seen.push(id)
    }
    const app = following(kept, store, { handle, onFailure: 'park' })
    const batches = defineSubscription({
      name: 'batches',
      aggregates: [customer],
      handleBatch: (events) => batched.push(...events.map(({ id }) => id)),
    })
    const other = kept(
      createApp({
        store: await database.connect(),
        aggregates: { customer },
        subscriptions: { batches },
        ...withoutStreamWaits,
      }),
    )
    const until = async (isThere: () => Promise<boolean>) => {
      while (!(await isThere())) {
        await app.drain()
        await other.drain()
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    await until(async () => batched.length === 4 && (await app.subscriptions.log.parked()).items.length === 1)
    isBroken = false
    await app.subscriptions.log.resume()
    await until(async () => (await app.subscriptions.log.parked()).items.length === 0)
    expect([seen, batched]).toEqual([['customer/c/1', ...parts(1, 2)], parts(1, 2)])
    await until(async () => ((await app.views.cards.load('c'))?.view.lines.length ?? 0) === 4)
    expect((await app.views.cards.load('c'))?.view.lines).toEqual(['street 1', 'phone 1', 'street 2', 'phone 2'])
  })

  test.skipIf(skipped).each(['stop', 'retry', 'park'] as const)(
    "a rolling deployment with onFailure '%s' processes every event once without intervention",
    async (onFailure) => {
      const database = await host.open({ schema: true })
      opened.push(database)
      const following = { ...withoutStreamWaits.following, pollMs: 50 }
      const { runtime } = withoutStreamWaits
      const old = programOf(kept, older, database.store, { onFailure, following, runtime })
      const young = programOf(kept, newer, await database.connect(), { onFailure, following, runtime })
      await order(old).execute('a', placeBefore as never)
      await until(
        () => old.seen.length === 1,
        () => old.app.drain(),
      )
      await order(young).execute('a', place)
      await order(young).execute('b', pay)
      // It has met them where it is told of nothing else.
      await until(
        () => new Set(old.observed.flatMap((what) => (what.kind === 'outdated' ? what.name : []))).size === 2,
        () => old.app.drain(),
      )
      expect(await troubles(database.store)).toBe(0)
      await old.app.close()
      await until(
        async () => young.seen.length >= 2 && (await viewed(young, 'a', 'b')) === 3,
        () => young.app.drain(),
      )
      expect([old.seen, [...young.seen].sort()]).toEqual([['order/a/1'], ['order/a/2', 'order/b/1']])
      expect(await troubles(database.store)).toBe(0)
    },
  )
})
