import { createApp, defineView, type Observation, OutcomeUnknownError, type Store, StoreError } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import type { Commit, CommitOutcome } from 'cqrs-es/store'
import { describe, expect, test } from 'vitest'
import { collect, failureOf } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { standingStill } from '../support/runtime.ts'
import { changed, sendingBy } from '../support/stores.ts'

const cut = new Error('connection terminated')
const uncertain: CommitOutcome = { kind: 'failed', certain: false, cause: cut }
const surely = (code: 'STORE_UNAVAILABLE' | 'STORE_BUSY'): CommitOutcome => ({
  kind: 'failed',
  certain: true,
  cause: new StoreError(code, 'No.'),
})

const totals = defineView({
  name: 'totals',
  aggregates: [counter],
  initialView: () => ({ total: 0 }),
  id: () => 'all',
  update: { Counted: (view, { data }) => ({ total: view.total + data.by }) },
})

function appOn(store: Store) {
  const seen: Observation[] = []
  const { runtime, slept } = standingStill()
  const app = createApp({ store, aggregates: { counter }, views: { totals }, runtime, observe: (what) => void seen.push(what) })
  const decisions = () => seen.flatMap((what) => (what.kind === 'command' ? [what.attempts] : []))
  return { app, c: app.aggregates.counter, slept, seen, decisions }
}

describe('an append whose answer is lost', () => {
  test.each<[string, (commit: Commit, really: (commit: Commit) => Promise<CommitOutcome>) => Promise<CommitOutcome>]>([
    [
      'after it was stored',
      async (commit, really) => {
        await really(commit)
        return uncertain
      },
    ],
    [
      'by an exception after it was stored',
      async (commit, really) => {
        await really(commit)
        throw cut
      },
    ],
    ['before it was stored', async () => uncertain],
    ['by an exception before it was stored', () => Promise.reject(cut)],
  ])('an append whose answer is lost %s is one success', async (_, first) => {
    const memory = memoryStore()
    const ids: string[] = []
    const { app, c, slept, decisions } = appOn(
      sendingBy(memory, (commit, really, nth) => {
        ids.push(commit.id)
        return nth === 1 ? first(commit, really) : really(commit)
      }),
    )
    const result = await c.execute('c', countEach(1, 2))
    expect(result).toMatchObject({ ok: true, sequence: 2, state: { total: 3 }, replayed: false })
    expect(result.ok && result.events).toStrictEqual(await collect(c.events('c')))
    expect(new Set(ids).size).toBe(1)
    expect(ids).toHaveLength(2)
    expect(decisions()).toEqual([1])
    expect(slept).toHaveLength(1)
    expect((await app.views.totals.load('all'))?.view).toEqual({ total: 3 })
    expect(await c.execute('c', count(4))).toMatchObject({ ok: true, sequence: 3, state: { total: 7 } })
    expect((await app.views.totals.load('all'))?.view).toEqual({ total: 7 })
  })

  test('an append that lands during the second send is stored once', async () => {
    const memory = memoryStore()
    let late: () => Promise<unknown> = async () => {}
    const { c, decisions } = appOn(
      sendingBy(memory, async (commit, really, nth) => {
        if (nth === 1) {
          late = () => really(commit)
          return uncertain
        }
        await late()
        return really(commit)
      }),
    )
    expect(await c.execute('c', count(5))).toMatchObject({ ok: true, sequence: 1, state: { total: 5 } })
    expect(decisions()).toEqual([1])
    expect(await memory.lastPosition()).toBe('1')
  })

  test('an append that lands after the second send is stored once', async () => {
    const memory = memoryStore()
    let late: () => Promise<unknown> = async () => {}
    const { c } = appOn(
      sendingBy(memory, async (commit, really, nth) => {
        if (nth === 1) {
          late = () => really(commit)
          return uncertain
        }
        return really(commit)
      }),
    )
    await c.execute('c', count(5))
    expect(await late()).toMatchObject({ kind: 'repeated' })
    expect(await memory.lastPosition()).toBe('1')
  })

  test('a second send that surely failed is no failure, as the first may still land', async () => {
    const memory = memoryStore()
    const { c } = appOn(
      sendingBy(memory, async (commit, really, nth) => {
        if (nth === 1) {
          await really(commit)
          return uncertain
        }
        return nth === 2 ? surely('STORE_BUSY') : really(commit)
      }),
    )
    expect(await c.execute('c', count(5))).toMatchObject({ ok: true, sequence: 1 })
    expect(await memory.lastPosition()).toBe('1')
  })

  test('a stored append without an answer is a success when another writer builds on it', async () => {
    const memory = memoryStore()
    const other = appOn(memory).c
    const { c } = appOn(
      sendingBy(memory, async (commit, really, nth) => {
        const outcome = await really(commit)
        if (nth > 1) return outcome
        await other.execute('c', count(10))
        return uncertain
      }),
    )
    expect(await c.execute('c', count(5))).toMatchObject({ ok: true, sequence: 1, state: { total: 5 } })
    expect(await c.execute('c', count(-14))).toMatchObject({ ok: true, sequence: 3, state: { total: 1 } })
  })

  test('a command is decided again when another writer wins while its outcome is unknown', async () => {
    const memory = memoryStore()
    const other = appOn(memory).c
    const { app, c, decisions } = appOn(
      sendingBy(memory, async (commit, really, nth) => {
        if (nth > 1) return really(commit)
        await other.execute('c', count(10))
        return uncertain
      }),
    )
    expect(await c.execute('c', countEach(-3))).toMatchObject({ ok: true, sequence: 2, state: { total: 7 } })
    expect((await app.views.totals.load('all'))?.view).toEqual({ total: 7 })
    expect(decisions().length).toBe(1)
  })

  test('only the view is computed again when another writer changes its row meanwhile', async () => {
    const memory = memoryStore()
    const other = appOn(memory).c
    const { app, c, decisions } = appOn(
      sendingBy(memory, async (commit, really, nth) => {
        if (nth > 1) return really(commit)
        await other.execute('other', count(10))
        return uncertain
      }),
    )
    expect(await c.execute('c', count(5))).toMatchObject({ ok: true, sequence: 1 })
    expect((await app.views.totals.load('all'))?.view).toEqual({ total: 15 })
    expect(decisions()).toEqual([1])
  })
})

describe('a store that stays unavailable', () => {
  const unreachable = (memory: Store, stored: boolean) => {
    let down = true
    const store = sendingBy(memory, async (commit, really, nth) => {
      if (!down) return really(commit)
      if (stored && nth === 1) await really(commit)
      return nth === 1 ? uncertain : surely('STORE_UNAVAILABLE')
    })
    const recover = () => {
      down = false
    }
    return { store, recover }
  }

  test.each([true, false])(
    'a commit to an unavailable store has an unknown outcome that the key resolves (stored: %s)',
    async (stored) => {
      const memory = memoryStore()
      const { store, recover } = unreachable(memory, stored)
      const { c, slept, seen } = appOn(store)
      const error = await failureOf(c.execute('c', count(5), { idempotencyKey: 'req-42' }))
      expect(error).toBeInstanceOf(OutcomeUnknownError)
      expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', cause: { code: 'STORE_UNAVAILABLE' } })
      expect(error.message).toContain("counter 'c'")
      expect(error.message).toContain("with the same idempotencyKey ('req-42')")
      expect(slept.length).toBeGreaterThan(2)
      expect(slept.every((ms, i) => i === 0 || ms > (slept[i - 1] ?? 0))).toBe(true)
      expect(seen.filter((what) => what.kind === 'retry' && what.on === 'unknown-outcome')).toHaveLength(slept.length)
      recover()
      const again = await c.execute('c', count(5), { idempotencyKey: 'req-42' })
      expect(again).toMatchObject({ ok: true, sequence: 1, state: { total: 5 }, replayed: stored })
      expect(await memory.lastPosition()).toBe('1')
    },
  )

  test('a store that is available again delays no later command', async () => {
    const { store, recover } = unreachable(memoryStore(), true)
    const { c } = appOn(store)
    expect((await failureOf(c.execute('c', count(5)))).message).toContain('had no idempotencyKey: look')
    recover()
    expect(await c.execute('c', count(1))).toMatchObject({ ok: true, sequence: 2, state: { total: 6 } })
  })

  test('queries do not receive events that may not be stored', async () => {
    let called = 0
    const { store } = unreachable(memoryStore(), false)
    const { runtime } = standingStill()
    const app = createApp({ store, aggregates: { counter }, runtime, queries: [() => void called++] })
    await failureOf(app.aggregates.counter.execute('c', count(5)))
    expect(called).toBe(0)
  })
})

test('a store that returns no outcomes leaves the outcome unknown', async () => {
  const silent = changed(memoryStore(), { append: async () => [] })
  const { c } = appOn(silent)
  expect((await failureOf(c.execute('c', count(1)))).code).toBe('OUTCOME_UNKNOWN')
})

test('a command stored by a process that died before the dispatch is replayed', async () => {
  const memory = memoryStore()
  const dying = sendingBy(memory, async (commit, really) => {
    await really(commit)
    return new Promise(() => {})
  })
  void appOn(dying).c.execute('c', count(5), { idempotencyKey: 'req-42' })
  await new Promise((resolve) => setImmediate(resolve))
  const restarted = appOn(memory).c
  expect(await restarted.execute('c', count(5), { idempotencyKey: 'req-42' })).toMatchObject({ replayed: true, sequence: 1 })
})
