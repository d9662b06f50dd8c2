import { createApp, type Store } from 'cqrs-es'
import type { TestDatabase } from 'cqrs-es/conformance'
import { defineInbox } from 'cqrs-es/messaging'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { databases } from '../conformance/hosts.ts'
import { count, counter } from '../support/counter.ts'
import { counts, sink } from '../support/messages.ts'
import { withoutStreamWaits } from '../support/runtime.ts'

const inbox = defineInbox({
  name: 'meters',
  messages: { 'measured.v1': z.object({ by: z.number() }) },
  sends: [counter],
}).implement({ 'measured.v1': ({ data }) => ({ to: 'counter', id: 'a', type: 'Count', data }) })

describe.each(databases)('on $name', ({ skipped, host }) => {
  const closables: (TestDatabase | { close(): Promise<void> })[] = []
  afterEach(async () => {
    for (const one of closables.splice(0).reverse()) await one.close()
  })
  async function opened(target = sink().target) {
    const database = await host.open({ schema: true })
    const store: Store = database.store
    const publications = { counts: counts().to(target) }
    const app = createApp({
      store,
      aggregates: { counter },
      publications,
      inboxes: { inbox },
      observe: () => {},
      ...withoutStreamWaits,
    })
    closables.push(database, app)
    return app
  }

  test.skipIf(skipped)('a publication keeps the order of each aggregate when calls fail', async () => {
    let nth = 0
    const { target, ids } = sink(() => (++nth % 3 === 0 ? Promise.reject(new Error('away')) : undefined), {
      most: { messages: 2, bytes: 10_000 },
    })
    const app = await opened(target)
    for (let i = 1; i <= 4; i++) for (const id of 'abc') await app.aggregates.counter.execute(id, count(i))
    for (let i = 0; i < 50 && !(await app.drain()).caughtUp; i++);
    expect(ids().length).toBe(12)
    for (const id of 'abc')
      expect(ids().filter((one) => one.startsWith(`counter/${id}/`))).toEqual([1, 2, 3, 4].map((i) => `counter/${id}/${i}`))
  })

  test.skipIf(skipped)('one message that arrives 8 times at once is stored once', async () => {
    const app = await opened()
    const message = { specversion: '1.0', id: 'm', source: '/s', type: 'measured.v1', data: { by: 1 } } as const
    const all = await Promise.all(Array.from({ length: 8 }, () => app.inboxes.inbox.receive(message)))
    expect(all.map(({ outcome }) => outcome).sort()).toEqual([...Array(7).fill('repeated'), 'stored'])
    expect((await app.aggregates.counter.load('a')).state.total).toBe(1)
  })
})
