import { encodeIndexValue, type Store } from 'cqrs-es/store'
import { expect, it } from 'vitest'
import { append, appendOne, commit } from './commits.ts'

/** The port in a few lines, for a first look; the conformance suite is the real test. */
export function smokeTests(open: () => Promise<Store>): void {
  it('a store appends events, reports a second writer and recognises a repeated commit', async () => {
    const store = await open()
    expect(await store.append([commit('c1', 'a', 0, [1, 2]), commit('c2', 'a', 2), commit('c3', 'a', 2)])).toEqual([
      { kind: 'stored', positions: ['1', '2'] },
      { kind: 'stored', positions: ['3'] },
      { kind: 'conflict', on: 'sequence', actualSequence: 3 },
    ])
    expect(await appendOne(store, commit('c1', 'a', 0, [1, 2]))).toEqual({ kind: 'repeated', positions: ['1', '2'] })
    expect(await appendOne(store, commit('c4', 'a', 9))).toEqual({ kind: 'conflict', on: 'sequence', actualSequence: 3 })
    const page = await store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 1, limit: 1 })
    expect(page.more).toBe(true)
    expect(page.events).toEqual([{ ...append('c1', 'account', 'a', 0, [1, 2]).events[1], position: '2' }])
    expect((await store.readFeed({ limit: 10 })).events.map((e) => e.position)).toEqual(['1', '2', '3'])
  })

  it('a store fails a commit that is not JSON and stores the rest of its batch', async () => {
    const store = await open()
    const outcomes = await store.append([commit('c1', 'a', 0), commit('c2', 'b', 0, [1n]), commit('c3', 'b', 0)])
    expect(outcomes.map((o) => o.kind)).toEqual(['stored', 'failed', 'stored'])
    expect(outcomes[1]).toMatchObject({ certain: true, cause: { code: 'STORE_FAILED' } })
  })

  it('a store returns a snapshot with the events after it', async () => {
    const store = await open()
    const [first] = commit('c1', 'a', 0, [1, 2]).appends
    if (first === undefined) throw new Error('no append')
    await appendOne(store, { id: 'c1', appends: [{ ...first, snapshot: { stateVersion: '1', state: { balance: 3 } } }] })
    await appendOne(store, commit('c2', 'a', 2))
    const request = { aggregateType: 'account', aggregateId: 'a', after: 0 }
    const page = await store.readAggregate({ ...request, snapshot: { stateVersion: '1' } })
    expect(page.snapshot).toEqual({ sequence: 2, commitId: 'c1', stateVersion: '1', version: 1, state: { balance: 3 } })
    expect(page.events.map((e) => e.sequence)).toEqual([3])
    const other = await store.readAggregate({ ...request, snapshot: { stateVersion: '2' } })
    expect([other.snapshot, other.events.length]).toEqual([undefined, 3])
    expect((await store.readAggregate({ ...request, upTo: 1, snapshot: { stateVersion: '1' } })).snapshot).toBeUndefined()
  })

  it('a store remembers an idempotency key', async () => {
    const store = await open()
    const key = { idempotencyKey: '__proto__', commandHash: 'h' }
    await appendOne(store, { ...commit('c1', 'a', 0, [1, 2]), key })
    expect(await appendOne(store, { ...commit('c2', 'a', 9), key })).toEqual({ kind: 'conflict', on: 'key' })
    expect(await store.readKey({ aggregateType: 'account', aggregateId: 'a', idempotencyKey: '__proto__' })).toEqual({
      commandHash: 'h',
      commitId: 'c1',
      firstSequence: 1,
      lastSequence: 2,
    })
  })

  it('a store finds views by index in ordered pages', async () => {
    const store = await open()
    const row = (id: string, balance: number) => ({
      ...{ name: 'balances', generation: 1, id, expectedVersion: 0, view: { balance } },
      indexes: [
        { index: 'balance', value: encodeIndexValue(balance) },
        { index: 'kind', value: encodeIndexValue('x') },
      ],
    })
    const ids = ['a', '__proto__', '\u{1f600}', '\uff5e', 'constructor', "it's; DROP TABLE views--"]
    await appendOne(store, { id: 'v', appends: [], views: ids.map((id, i) => row(id, i - 3)) })
    await appendOne(store, { id: 'd', appends: [], views: [{ ...row('a', 0), expectedVersion: 1, view: null }] })
    const all = { name: 'balances', generation: 1, where: [], limit: 2 }
    const walk = async (request: Parameters<Store['findViews']>[0]) => {
      const found: string[] = []
      for (let after: typeof request.after; ; ) {
        const page = await store.findViews({ ...request, ...(after && { after }) })
        found.push(...page.items.map((item) => item.id))
        if (page.next === undefined) return found
        after = page.next
      }
    }
    expect(await walk(all)).toEqual(['__proto__', 'constructor', "it's; DROP TABLE views--", '\uff5e', '\u{1f600}'])
    const byBalance = { ...all, orderBy: { index: 'balance' } }
    expect(await walk(byBalance)).toEqual(['__proto__', '\u{1f600}', '\uff5e', 'constructor', "it's; DROP TABLE views--"])
    expect(await walk({ ...all, orderBy: { index: 'balance', descending: true } })).toEqual((await walk(byBalance)).reverse())
    expect(await walk({ ...all, orderBy: { index: 'kind', descending: true } })).toEqual(await walk(all))
    const between = [
      { index: 'balance', is: '>=', value: encodeIndexValue(-1) } as const,
      { index: 'balance', is: '<', value: encodeIndexValue(2) } as const,
      { index: 'kind', is: '=', value: encodeIndexValue('x') } as const,
    ]
    expect(await walk({ ...all, where: between })).toEqual(['constructor', '\uff5e', '\u{1f600}'])
    const moved = { ...row('constructor', 9), expectedVersion: 1, indexes: [{ index: 'balance', value: encodeIndexValue(9) }] }
    await appendOne(store, { id: 'm', appends: [], views: [moved] })
    expect(await walk({ ...all, where: between })).toEqual(['\uff5e', '\u{1f600}'])
    expect(await walk({ ...all, where: [{ index: 'balance', is: '=', value: encodeIndexValue(9) }] })).toEqual(['constructor'])
    expect(await store.readViews([{ name: 'balances', generation: 1, id: 'a' }])).toMatchObject([{ version: 2, view: null }])
  })

  it('a store moves a checkpoint only under the held lease', async () => {
    const store = await open()
    const write = (id: string, fence: number) =>
      appendOne(store, { id, appends: [], checkpoint: { name: 'mailer', fence, position: '1' } })
    expect(await write('p0', 1)).toEqual({ kind: 'conflict', on: 'fence' })
    expect(await store.acquireLease({ name: 'mailer', holder: 'one', ttlMs: 60_000 })).toEqual({
      acquired: true,
      fence: 1,
      checkpoint: null,
    })
    expect(await store.acquireLease({ name: 'mailer', holder: 'two', ttlMs: 60_000 })).toMatchObject({
      acquired: false,
      holder: 'one',
    })
    expect(await write('p1', 1)).toEqual({ kind: 'stored', positions: [] })
    expect(await write('p1', 1)).toEqual({ kind: 'repeated', positions: [] })
    expect(await store.readCheckpoint('mailer')).toEqual({ position: '1', fence: 1 })
    await store.releaseLease({ name: 'mailer', fence: 1 })
    expect(await write('p2', 1)).toEqual({ kind: 'conflict', on: 'fence' })
    expect(await store.renewLease({ name: 'mailer', fence: 1, ttlMs: 1 })).toBe(false)
    const checkpoint = { position: '1', fence: 1 }
    expect(await store.readConsumers?.(['nobody', 'mailer'])).toEqual([{}, { checkpoint }])
    expect(await store.acquireLease({ name: 'mailer', holder: 'two', ttlMs: 0 })).toEqual({
      acquired: true,
      fence: 2,
      checkpoint,
    })
    expect(await store.acquireLease({ name: 'mailer', holder: 'one', ttlMs: 60_000 })).toEqual({
      acquired: true,
      fence: 3,
      checkpoint,
    })
    expect(await store.readConsumers?.(['mailer'])).toMatchObject([{ checkpoint, lease: { holder: 'one', fence: 3 } }])
  })

  it('a store switches a view from one generation to another', async () => {
    const store = await open()
    const write = (id: string, generation: number) =>
      appendOne(store, { id, appends: [], views: [{ name: 'v', generation, id, expectedVersion: 0, view: 1 }] })
    expect((await write('a', 1)).kind).toBe('stored')
    expect(await write('a', 2)).toEqual({ kind: 'conflict', on: 'generation' })
    expect(await store.addViewGeneration({ name: 'v', generation: 2, viewVersion: '2' })).toBe(true)
    expect(await store.addViewGeneration({ name: 'v', generation: 2, viewVersion: '2' })).toBe(false)
    expect((await write('a', 2)).kind).toBe('stored')
    expect(await store.switchViewGeneration({ name: 'v', from: 2, to: 2 })).toBe(false)
    expect(await store.switchViewGeneration({ name: 'v', from: 1, to: 2 })).toBe(true)
    expect(await write('b', 1)).toEqual({ kind: 'conflict', on: 'generation' })
    expect(await store.addViewGeneration({ name: 'v', generation: 1, viewVersion: '1' })).toBe(false)
    expect(await store.removeViewGeneration({ name: 'v', generation: 2 })).toBe(false)
    expect(await store.removeViewGeneration({ name: 'v', generation: 1 })).toBe(true)
    expect(await store.readViews([{ name: 'v', generation: 1, id: 'a' }])).toEqual([undefined])
    expect(await store.viewGenerations('v')).toEqual([{ generation: 2, viewVersion: '2', state: 'live' }])
  })

  it('a store refuses positions of another log and moves on when a filter matches nothing', async () => {
    const store = await open()
    await expect(store.readFeed({ after: '1' as never, limit: 1 })).rejects.toMatchObject({ code: 'STORE_BEHIND' })
    await expect(store.readFeed({ after: 'x' as never, limit: 1 })).rejects.toMatchObject({ code: 'STORE_BEHIND' })
    const many = Array.from({ length: 15_000 }, (_, i) => i)
    await appendOne(store, commit('c1', 'a', 0, many))
    const first = await store.readFeed({ only: [{ aggregateType: 'loan' }], limit: 10 })
    expect(first).toEqual({ events: [], position: '10000', last: { position: '10000', commitId: 'c1' }, more: true })
    const rest = { after: '10000' as never, only: [{ aggregateType: 'account', eventTypes: ['MoneyDeposited'] }], limit: 1 }
    expect((await store.readFeed(rest)).events.map((e) => e.position)).toEqual(['10001'])
    const none = { ...rest, only: [{ aggregateType: 'account', eventTypes: ['Other'] }] }
    expect(await store.readFeed(none)).toEqual({
      events: [],
      position: '15000',
      last: { position: '15000', commitId: 'c1' },
      more: false,
    })
  })

  it('a store lists ids in byte order', async () => {
    const store = await open()
    for (const id of ['b', '\u{1f600}', '\uff5e', '__proto__', 'a/1']) await appendOne(store, commit(`c${id}`, id, 0, [1, 2]))
    expect(await store.readIds({ aggregateType: 'account', limit: 3 })).toEqual({ items: ['__proto__', 'a/1', 'b'], more: true })
    await appendOne(store, commit('late', 'a/0', 0))
    expect((await store.readIds({ aggregateType: 'account', limit: 2 })).items).toEqual(['__proto__', 'a/0'])
    expect(await store.readIds({ aggregateType: 'account', after: 'b', limit: 3 })).toEqual({
      items: ['\uff5e', '\u{1f600}'],
      more: false,
    })
  })
}
