import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, it, vi } from 'vitest'
import { appendOne, commit, dataOf } from './commits.ts'
import { smokeTests } from './smoke.ts'

describe('the memory store', () => {
  smokeTests(async () => memoryStore())

  it('memoryStore refuses unknown options', () => {
    expect(() => memoryStore({ clocks: Date.now } as never)).toThrow(/no option .clocks.\. Its options: clock/)
    expect(() => memoryStore({ clock: 5 } as never)).toThrow(/"clock" must be a function/)
    expect(() => memoryStore(null as never)).toThrow(/takes an object/)
    expect(() => memoryStore({ clocks: 1 } as never)).toThrow(expect.objectContaining({ code: 'DEFINITION' }))
  })

  it('the memory store keeps copies, not the objects that it receives', async () => {
    const store = memoryStore()
    const data = { tags: ['a'], at: new Date(0), gone: undefined }
    await appendOne(store, commit('c1', 'a', 0, [data]))
    data.tags.push('b')
    const first = await dataOf(store, 'a')
    expect(first).toStrictEqual([{ tags: ['a'], at: '1970-01-01T00:00:00.000Z' }])
    ;(first[0] as typeof data).tags.push('c')
    expect(await dataOf(store, 'a')).toStrictEqual([{ tags: ['a'], at: '1970-01-01T00:00:00.000Z' }])
  })

  it('the memory store keeps names apart that are properties of objects or read the same joined', async () => {
    const store = memoryStore()
    for (const id of ['__proto__', 'constructor', 'toString', 'a', 'a:b']) {
      expect((await appendOne(store, commit(`c ${id}`, id, 0, [id]))).kind).toBe('stored')
      expect(await dataOf(store, id)).toEqual([id])
    }
    const view = (name: string, id: string) => ({ name, generation: 1, id, expectedVersion: 0, view: { name, id } })
    const keys = [view('a', 'b/c'), view('a/b', 'c'), view('__proto__', '__proto__')]
    expect((await appendOne(store, { id: 'v', appends: [], views: keys })).kind).toBe('stored')
    expect((await store.readViews(keys)).map((row) => row?.view)).toEqual(keys.map((key) => key.view))
    expect(await store.readViews([view('a', 'c'), view('toString', 'x')])).toEqual([undefined, undefined])
  })

  it('leases of the memory store expire by its clock option', async () => {
    let now = 1_000
    const store = memoryStore({ clock: () => now })
    const ask = (holder: string) => store.acquireLease({ name: 'mailer', holder, ttlMs: 100 })
    expect(await ask('one')).toEqual({ acquired: true, fence: 1, checkpoint: null })
    now += 60
    expect(await ask('two')).toEqual({ acquired: false, holder: 'one', remainingMs: 40 })
    now += 40
    expect(await store.renewLease({ name: 'mailer', fence: 1, ttlMs: 100 })).toBe(true)
    expect(await ask('two')).toMatchObject({ acquired: false })
    now += 100
    expect(await ask('two')).toEqual({ acquired: true, fence: 2, checkpoint: null })
    expect(await store.renewLease({ name: 'mailer', fence: 1, ttlMs: 100 })).toBe(false)
  })

  it('watchers of the memory store are woken after an append until they stop', async () => {
    const store = memoryStore()
    const wake = vi.fn()
    const stop = store.watch?.(wake)
    await appendOne(store, commit('c1', 'a', 0))
    await Promise.resolve()
    expect(wake).toHaveBeenCalledTimes(1)
    await appendOne(store, commit('c2', 'a', 0))
    await Promise.resolve()
    expect(wake).toHaveBeenCalledTimes(1)
    stop?.()
    await appendOne(store, commit('c3', 'a', 1))
    await Promise.resolve()
    expect(wake).toHaveBeenCalledTimes(1)
  })

  it('the memory store needs no schema', async () => {
    const store = memoryStore()
    await appendOne(store, commit('c1', 'a', 0))
    await store.createSchema()
    expect(await dataOf(store, 'a')).toHaveLength(1)
    expect(JSON.parse(store.printSchema())).toMatchObject({ store: 'memory' })
  })
})
