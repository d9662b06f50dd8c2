import { createApp, defineView, type Observation, platformRuntime, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { failureOf } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { standingStill } from '../support/runtime.ts'
import { overtaken, sendingBy } from '../support/stores.ts'

const totals = defineView({
  name: 'totals',
  aggregates: [counter],
  initialView: () => ({ n: 0 }),
  id: () => 'all',
  update: { Counted: ({ n }) => ({ n: n + 1 }) },
})

function watched(store: Store = memoryStore(), queries: (() => void)[] = []) {
  const seen: Observation[] = []
  const { runtime } = standingStill()
  const app = createApp({
    store,
    aggregates: { counter },
    views: { totals },
    queries,
    cache: {},
    runtime,
    onQueryError: () => {},
    observe: (what) => void seen.push(what),
  })
  return {
    c: app.aggregates.counter,
    seen,
    last: () => seen.at(-1),
    of: (kind: Observation['kind']) => seen.filter((what) => what.kind === kind),
  }
}
const place = { aggregateType: 'counter', aggregateId: 'c' }

describe('an observer', () => {
  test('an observer receives each part of a command, in order', async () => {
    const failure = new Error('down')
    const failing = () => {
      throw failure
    }
    const { c, seen } = watched(memoryStore(), [() => {}, failing])
    const result = await c.execute('c', countEach(1, 2))
    const commitId = result.ok && result.events[0]?.commitId
    expect(seen).toEqual([
      { kind: 'load', ...place, from: 'start', events: 0, sequence: 0, ms: 0 },
      { kind: 'append', ...place, commitId, events: 2, outcome: 'stored', batch: 1, ms: 0 },
      { kind: 'command', ...place, command: 'CountEach', outcome: 'stored', attempts: 1, ms: 0 },
      { kind: 'query', query: 0, events: 2, ms: 0 },
      { kind: 'query', query: 1, events: 2, ms: 0, error: failure },
    ])
  })

  test('an observer receives the outcome of a command', async () => {
    const { c, last, of } = watched()
    const outcomeOf = async (command: Promise<unknown>) => {
      await command.catch(() => {})
      return (of('command').at(-1) as { outcome: string }).outcome
    }
    expect(await outcomeOf(c.execute('c', count(1), { idempotencyKey: 'k' }))).toBe('stored')
    expect(await outcomeOf(c.execute('c', count(1), { idempotencyKey: 'k' }))).toBe('replayed')
    expect(await outcomeOf(c.execute('c', countEach()))).toBe('nothing')
    expect(await outcomeOf(c.execute('c', count(-9)))).toBe('rejected')
    const error = await failureOf(c.execute('c', count(1), { expectedSequence: 7 }))
    expect(last()).toEqual({ kind: 'command', ...place, command: 'Count', outcome: 'failed', attempts: 0, ms: 0, error })
  })

  test('an observer receives the starting point of a load', async () => {
    const { c, of } = watched()
    await c.load('c')
    await c.execute('c', count(1))
    await c.load('c')
    expect(of('load').at(-1)).toEqual({ kind: 'load', ...place, from: 'cache', events: 0, sequence: 1, ms: 0 })
  })

  test('an observer receives a lost race and its retry', async () => {
    const memory = memoryStore()
    const other = watched(memory).c
    const { c, of } = watched(overtaken(memory, () => other.execute('c', count(1))))
    await c.execute('c', count(1))
    expect(of('append')).toMatchObject([{ outcome: 'conflict' }, { outcome: 'stored' }])
    expect(of('retry')).toEqual([{ kind: 'retry', ...place, attempt: 1, on: 'sequence' }])
    expect(of('command')).toMatchObject([{ outcome: 'stored', attempts: 2 }])
  })

  test('an observer receives a retry when another command has changed a row', async () => {
    const memory = memoryStore()
    const other = watched(memory).c
    const { c, of } = watched(overtaken(memory, () => other.execute('other', count(1))))
    await c.execute('c', count(1))
    expect(of('retry')).toEqual([{ kind: 'retry', ...place, attempt: 1, on: 'view' }])
    expect(of('command')).toMatchObject([{ outcome: 'stored', attempts: 1 }])
  })

  test('an observer receives an append whose outcome is unknown', async () => {
    const { c, of } = watched(
      sendingBy(memoryStore(), async (commit, really, nth) => {
        const outcome = await really(commit)
        return nth === 1 ? { kind: 'failed', certain: false, cause: new Error('cut') } : outcome
      }),
    )
    await c.execute('c', count(1))
    expect(of('append')).toMatchObject([{ outcome: 'failed' }, { outcome: 'repeated' }])
    expect(of('retry')).toEqual([{ kind: 'retry', ...place, attempt: 1, on: 'unknown-outcome' }])
  })
})

describe('an observer that fails', () => {
  const shown = vi.spyOn(console, 'error').mockImplementation(() => {})
  afterEach(() => shown.mockClear())
  const failure = new Error('no collector')

  test.each<[string, () => void]>([
    [
      'throws',
      () => {
        throw failure
      },
    ],
    ['rejects', async () => Promise.reject(failure)],
  ])('an observer that %s harms nothing and is reported on the console', async (_, observe) => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    let called = 0
    const app = createApp({ store: memoryStore(), aggregates: { counter }, observe, queries: [() => void called++] })
    expect(await app.aggregates.counter.execute('c', count(1))).toMatchObject({ ok: true, sequence: 1 })
    expect(await app.aggregates.counter.execute('c', count(-9))).toMatchObject({ ok: false })
    await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', unhandled)
    expect(called).toBe(1)
    expect(unhandled).not.toHaveBeenCalled()
    expect(shown.mock.calls.flat()).toContain(failure)
  })
})

describe('the runtime', () => {
  test('the runtime is the only clock and the only source of ids', async () => {
    const { runtime } = standingStill('2001-02-03T04:05:06.789Z')
    const ids: string[] = []
    const noting = {
      ...runtime,
      randomUUID: () => {
        const id = runtime.randomUUID()
        ids.push(id)
        return id
      },
    }
    const app = createApp({ store: memoryStore(), aggregates: { counter }, runtime: noting })
    const result = await app.aggregates.counter.execute('c', count(1))
    expect(result).toMatchObject({ events: [{ recordedAt: '2001-02-03T04:05:06.789Z' }] })
    expect(ids).toContain(result.ok && result.events[0]?.commitId)
  })

  test('an app works without the clock, the timers and the randomness of the platform', async () => {
    const forbidden = () => {
      throw new Error('This was not asked of the runtime.')
    }
    vi.spyOn(Date, 'now').mockImplementation(forbidden)
    vi.spyOn(Math, 'random').mockImplementation(forbidden)
    vi.spyOn(crypto, 'randomUUID').mockImplementation(forbidden as never)
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(forbidden as never)
    try {
      const memory = memoryStore()
      const other = watched(memory).c
      const { c } = watched(overtaken(memory, () => other.execute('c', count(1))))
      expect(await c.execute('c', count(1), { idempotencyKey: 'k' })).toMatchObject({ ok: true, sequence: 2 })
      expect(await c.execute('c', count(1), { idempotencyKey: 'k' })).toMatchObject({ replayed: true })
    } finally {
      vi.restoreAllMocks()
    }
  })

  test('sleep() of platformRuntime waits, and ends when its signal aborts', async () => {
    await platformRuntime.sleep(1)
    const controller = new AbortController()
    const waiting = failureOf(platformRuntime.sleep(60_000, controller.signal))
    controller.abort('enough')
    expect(await waiting).toBe('enough')
    expect(await failureOf(platformRuntime.sleep(60_000, controller.signal))).toBe('enough')
    expect(platformRuntime.random()).toBeLessThan(1)
    expect(platformRuntime.randomUUID()).toMatch(/^[0-9a-f-]{36}$/)
  })
})
