import { createApp, defineSubscription, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { together } from '../../src/util/together.ts'
import { failureOf, gate, settled } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { changed, counting } from '../support/stores.ts'
import { totalsOf } from '../support/totals.ts'
import { virtualTime } from '../support/virtual-time.ts'

const kept = keeping()

const totals = totalsOf('async')

type Wait = (app: ReturnType<typeof appOn>, nth: number) => Promise<unknown>
const appOn = (
  store: Store,
  runtime = virtualTime(
    () => 0.5,
    () => false,
  ).runtime,
) => kept(createApp({ store, aggregates: { counter }, views: { totals }, runtime }))

/** The calls of the store while so many wait for two seconds for a view whose lease another process holds. */
async function callsOf(callers: number, wait: Wait): Promise<number> {
  const memory = memoryStore()
  const calls: string[] = []
  const store = counting(memory, calls)
  const time = virtualTime(
    () => 0.5,
    () => false,
  )
  const app = appOn(store, time.runtime)
  for (let i = 0; i < callers; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
  await memory.acquireLease({ name: 'view/1/totals', holder: 'another process', ttlMs: 600_000 })
  calls.length = 0
  const waits = Promise.all(Array.from({ length: callers }, (_, i) => failureOf(wait(app, i))))
  await time.until(time.sleep(2_000), 60_000)
  const looks = calls.filter((name) => name !== 'append').length
  await time.until(app.close(), 60_000)
  for (const { code, cause } of await waits) expect([code, (cause as { code?: string } | undefined)?.code]).toContain('CLOSED')
  return looks
}

describe('a thousand callers', () => {
  test.each<[string, Wait]>([
    ['caughtUp', (app) => app.views.totals.caughtUp()],
    ['waitFor', (app, nth) => app.waitFor('totals', String(nth + 1) as never)],
  ])('a thousand callers that wait by %s cost the store about as many calls as one', async (_, wait) => {
    const one = await callsOf(1, wait)
    expect(one).toBeGreaterThan(10)
    // The first of them may look once before the others have come.
    expect(await callsOf(1_000, wait)).toBeLessThanOrEqual(one + 5)
  })

  test('a thousand callers that wait with a command cost the store about as many calls as one', async () => {
    const wait: Wait = (app, nth) => app.aggregates.counter.execute(`c${nth}`, count(1), { waitFor: ['totals'] })
    // Each of the commands confirms its state by a read.
    const one = (await callsOf(1, wait)) - 1
    expect((await callsOf(1_000, wait)) - 1_000).toBeLessThanOrEqual(2 * one)
  })
})

describe('callers that wait for one consumer', () => {
  test('each caller continues when its position is reached, whatever others wait for', async () => {
    const memory = memoryStore()
    const app = appOn(memory, undefined)
    const { counter: c } = app.aggregates
    for (const id of ['a', 'b']) await c.execute(id, count(1))
    const other = createApp({ store: memory, aggregates: { counter }, views: { totals } })
    await other.drain({ maxEvents: 1 })
    expect(await app.waitFor('totals', '1' as never)).toBeUndefined()
    await other.close()
  })

  test('each caller receives the error of a stopped subscription', async () => {
    const broken = defineSubscription({
      name: 'broken',
      aggregates: [counter],
      handle: () => {
        throw new Error('boom')
      },
    })
    const app = kept(createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { broken }, observe: () => {} }))
    await app.aggregates.counter.execute('a', count(1))
    const failures = await Promise.all([1, 2, 3].map(() => failureOf(app.subscriptions.broken.caughtUp())))
    expect(failures).toMatchObject([{ code: 'STOPPED' }, { code: 'STOPPED' }, { code: 'STOPPED' }])
    await app.subscriptions.broken.resume()
    expect(await failureOf(app.subscriptions.broken.caughtUp())).toMatchObject({ code: 'STOPPED' })
  })

  test('a caller does not receive an error from before its call', async () => {
    const [reading, memory] = [gate(), memoryStore()]
    let isDown = true
    const store = changed(memory, {
      acquireLease: async (request) => {
        if (!isDown) return memory.acquireLease(request)
        isDown = false
        await reading.pass()
        throw new Error('the database is away')
      },
    })
    const app = kept(createApp({ store, aggregates: { counter }, views: { totals } }))
    await app.aggregates.counter.execute('a', count(1))
    const first = failureOf(app.views.totals.caughtUp())
    await reading.reached
    const second = app.views.totals.caughtUp()
    await settled()
    reading.open()
    expect((await first).message).toContain('away')
    expect(await second).toBeUndefined()
  })

  test('a caller that gives up does not end the run of the others', async () => {
    const door = gate()
    const signals: AbortSignal[] = []
    const slow = defineSubscription({
      name: 'slow',
      aggregates: [counter],
      handle: (_, { signal }) => {
        signals.push(signal)
        return door.pass()
      },
    })
    const app = kept(createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { slow } }))
    await app.aggregates.counter.execute('a', count(1))
    const staying = app.subscriptions.slow.caughtUp()
    expect((await failureOf(app.subscriptions.slow.caughtUp({ timeoutMs: 20 }))).code).toBe('NOT_YET')
    door.open()
    await staying
    expect(signals.map(({ aborted }) => aborted)).toEqual([false])
  })
})

test('a shared read starts after every caller that receives its answer has called', async () => {
  const [first, reads] = [gate(), [] as number[]]
  const read = together(async () => {
    const nth = reads.push(0)
    if (nth === 1) await first.pass()
    return nth
  })
  const early = [read(), read()]
  await first.reached
  const late = [read(), read(), read()]
  first.open()
  expect(await Promise.all([...early, ...late])).toEqual([1, 1, 2, 2, 2])
})
