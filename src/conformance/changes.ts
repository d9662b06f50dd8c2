import type { Store } from '../store/store.ts'
import { deposit, range, saveViews, view } from './build.ts'
import { type Body, type Cases, followed, when } from './case.ts'
import { conflicts, equal, holds, rejects, send, stores } from './check.ts'
import { pause } from './read.ts'

const following = (cases: Readonly<Record<string, Body>>): Cases =>
  Object.fromEntries(Object.entries(cases).map(([name, body]) => [name, when(followed, body)]))

export const changeCases: Cases = following({
  'a read without a cursor reports nothing and returns a cursor before all later events': async ({ store }) => {
    await stores(store, deposit('before', 0, 3))
    for (const i of range(3)) {
      const page = await changes(store, { limit: 10 })
      equal('changes', page.changes, [])
      await stores(store, deposit(`after-${i}`, 0))
      const seen = await seenFrom(store, page.cursor, { [`after-${i}`]: 1 })
      holds('the cursor has moved on', seen.cursor !== page.cursor)
    }
  },

  'readChanges reports every aggregate with new events and its highest sequence': async ({ store }) => {
    const { cursor } = await changes(store, { limit: 10 })
    await stores(store, deposit('a', 0, 3), deposit('b', 0), deposit('a', 3, 2), deposit('c', 0, 2))
    const other = deposit('a', 0).appends.map((append) => ({
      ...append,
      aggregateType: 'order',
      events: append.events.map((event) => ({ ...event, id: 'order/a/1', aggregateType: 'order' })),
    }))
    await stores(store, { ...deposit('a', 0), appends: other })
    await seenFrom(store, cursor, { a: 5, b: 1, c: 2, 'order/a': 1 })
  },

  'readChanges reports the same aggregates with any page size': async ({ store }) => {
    const { cursor } = await changes(store, { limit: 10 })
    for (const i of range(12)) await stores(store, deposit(`account-${i % 4}`, Math.floor(i / 4) * 2, 2))
    for (const limit of [1, 2, 7, 100])
      await seenFrom(store, cursor, { 'account-0': 6, 'account-1': 6, 'account-2': 6, 'account-3': 6 }, limit)
  },

  'readChanges reports events of other connections, and a cursor works on any connection': async (database) => {
    const { store } = database
    const other = await database.connect()
    const { cursor } = await changes(store, { limit: 10 })
    await stores(other, deposit('a', 0), deposit('b', 0))
    const first = await seenFrom(store, cursor, { a: 1, b: 1 })
    await stores(store, deposit('a', 1))
    await seenFrom(other, first.cursor, { a: 2 })
    await seenFrom(await database.connect(), cursor, { a: 2, b: 1 })
  },

  'readChanges reports the same changes again for the same cursor': async ({ store }) => {
    const { cursor } = await changes(store, { limit: 10 })
    await stores(store, deposit('a', 0), deposit('b', 0))
    for (const _ of range(3)) await seenFrom(store, cursor, { a: 1, b: 1 })
    await stores(store, deposit('a', 1))
    await seenFrom(store, cursor, { a: 2, b: 1 })
  },

  'readChanges at the end reports no more and keeps the cursor': async ({ store }) => {
    const { cursor } = await changes(store, { limit: 10 })
    await stores(store, deposit('a', 0))
    await seenFrom(store, cursor, { a: 1 })
    const end = await atTheEnd(store, cursor)
    equal('page', await changes(store, { cursor: end, limit: 10 }), { changes: [], cursor: end, more: false })
  },

  'readChanges reports neither rejected commits nor commits without events': async ({ store }) => {
    await stores(store, deposit('a', 0))
    const { cursor } = await changes(store, { limit: 10 })
    conflicts(await send(store, deposit('late', 3)), 'sequence')
    await stores(store, saveViews(view('row', 0, {})), deposit('b', 0))
    const { seen } = await seenFrom(store, cursor, { b: 1 })
    equal('the one that was not stored', seen.get('late'), undefined)
  },

  'a reader that follows concurrent writers misses no aggregate': async (database) => {
    const { store } = database
    let { cursor } = await changes(store, { limit: 1 })
    const writers = await Promise.all(range(3).map(() => database.connect()))
    let writing = true
    const written = Promise.all(
      writers.map(async (writer, w) => {
        for (const i of range(30)) await stores(writer, deposit(`account-${w}-${i % 5}`, Math.floor(i / 5)))
      }),
    ).finally(() => {
      writing = false
    })
    const seen = new Map<string, number>()
    try {
      for (let limit = 1; writing; limit = (limit % 7) + 1) {
        const page = await changes(store, { cursor, limit })
        note(seen, page.changes)
        cursor = page.cursor
        await pause()
      }
    } finally {
      await written
    }
    const all = range(3).flatMap((w) => range(5).map((i) => [`account-${w}-${i}`, 6] as const))
    await seenFrom(store, cursor, Object.fromEntries(all), 3, seen)
  },

  'readChanges refuses an unknown cursor': async ({ store }) => {
    await stores(store, deposit('a', 0))
    for (const cursor of ['', 'not a cursor', '{}', '[]', 'null'])
      await rejects(`the cursor '${cursor}'`, 'STORE_BEHIND', () => changes(store, { cursor, limit: 10 }))
  },
})

function changes(store: Store, request: { readonly cursor?: string; readonly limit: number }) {
  if (store.readChanges === undefined) throw new Error('the store has no changes')
  return store.readChanges(request)
}

function note(seen: Map<string, number>, all: Awaited<ReturnType<typeof changes>>['changes']) {
  for (const { aggregateType, aggregateId, sequence } of all) {
    const name = aggregateType === 'account' ? aggregateId : `${aggregateType}/${aggregateId}`
    seen.set(name, Math.max(sequence, seen.get(name) ?? 0))
  }
}

/** Reads until all of these were seen, which may take a moment. */
async function seenFrom(
  store: Store,
  from: string,
  expected: Readonly<Record<string, number>>,
  limit = 10,
  seen = new Map<string, number>(),
) {
  let cursor = from
  for (let tries = 0; !has(seen, expected) && tries < 500; tries++) {
    const page = await changes(store, { cursor, limit })
    holds(`no page far above ${limit}`, page.changes.length <= 2 * limit)
    note(seen, page.changes)
    cursor = page.cursor
    if (!page.more) await pause(tries < 100 ? 1 : 10)
  }
  const found = Object.keys(expected).map((name) => [name, seen.get(name)])
  equal(`aggregates in pages of ${limit}`, Object.fromEntries(found), expected)
  return { cursor, seen }
}

const has = (seen: ReadonlyMap<string, number>, expected: Readonly<Record<string, number>>) =>
  Object.entries(expected).every(([name, sequence]) => seen.get(name) === sequence)

/** Reads until nothing is new. */
async function atTheEnd(store: Store, from: string): Promise<string> {
  let cursor = from
  for (let tries = 0; ; tries++) {
    const { cursor: next, ...page } = await changes(store, { cursor, limit: 10 })
    if (page.changes.length === 0 && !page.more && next === cursor) return cursor
    if (tries >= 300) equal('the page at the end', { ...page, cursor: next }, { changes: [], more: false, cursor })
    cursor = next
    await pause(10)
  }
}
