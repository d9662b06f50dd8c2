import { createApp, defineAggregate, noData, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { standingStill } from '../support/runtime.ts'
import { overtaken } from '../support/stores.ts'

describe('the context of a handler', () => {
  const seen: Record<string, unknown>[] = []
  const probe = defineAggregate({
    type: 'probe',
    events: { Probed: typed<{ n: number }>(), Rested: noData },
    commands: { Probe: noData },
    services: typed<{ next(): Promise<number> }>(),
    initialState: () => ({ probed: 0 }),
  }).implement({
    handle: {
      Probe: async (state, data, context) => {
        seen.push({ state, data, ...context })
        return [context.event.Probed({ n: await context.services.next() }), context.event.Rested()]
      },
    },
    apply: { Probed: ({ probed }) => ({ probed: probed + 1 }), Rested: (state) => state },
  })
  const services = { probe: { next: async () => 7 } }

  test('a handler receives state, id, sequence, metadata, services and a signal', async () => {
    seen.length = 0
    const { probe: p } = createApp({ store: memoryStore(), aggregates: { probe }, services }).aggregates
    await p.execute('p', { type: 'Probe' })
    const { signal } = new AbortController()
    await p.execute('p', { type: 'Probe' }, { metadata: { userId: 'u' }, signal })
    expect(seen[0]).toMatchObject({ state: { probed: 0 }, aggregateId: 'p', sequence: 0, metadata: {}, services: services.probe })
    expect(seen[1]).toMatchObject({ state: { probed: 1 }, aggregateId: 'p', sequence: 2, metadata: { userId: 'u' } })
    expect(seen[1]?.signal).toBe(signal)
    expect((seen[0] as unknown as { signal: AbortSignal }).signal.aborted).toBe(false)
    expect(Object.isFrozen(seen[1]?.state)).toBe(true)
    expect(Object.isFrozen(seen[1]?.metadata)).toBe(true)
  })

  test('the now of a handler is the recordedAt of its events', async () => {
    seen.length = 0
    let tick = Date.parse('2020-01-01')
    const runtime = { ...standingStill().runtime, now: () => new Date(tick++) }
    const { probe: p } = createApp({ store: memoryStore(), aggregates: { probe }, services, runtime }).aggregates
    for (const nth of [0, 1]) {
      const result = await p.execute('p', { type: 'Probe' })
      const now = (seen[nth] as unknown as { now: Date }).now.toISOString()
      expect(result.ok && result.events.map((e) => e.recordedAt)).toEqual([now, now])
    }
    expect(seen).toHaveLength(2)
  })

  test('the command id stays the same through all retries and is new for the next command', async () => {
    seen.length = 0
    const store = memoryStore()
    const { runtime } = standingStill()
    const other = createApp({ store, aggregates: { probe }, services }).aggregates.probe
    const quicker = overtaken(store, () => other.execute('p', { type: 'Probe' }))
    const { probe: p } = createApp({ store: quicker, aggregates: { probe }, services, runtime }).aggregates
    await p.execute('p', { type: 'Probe' })
    await p.execute('p', { type: 'Probe' })
    const [first, ofOther, again, next] = seen.map(({ commandId }) => commandId)
    expect(again).toBe(first)
    expect(new Set([first, ofOther, next]).size).toBe(3)
  })

  test('the command id is the idempotency key if there is one', async () => {
    seen.length = 0
    const { probe: p } = createApp({ store: memoryStore(), aggregates: { probe }, services }).aggregates
    await p.execute('p', { type: 'Probe' }, { idempotencyKey: 'req-42' })
    expect(seen[0]?.commandId).toBe('req-42')
  })

  test('the apply of a handler refuses an event that cannot be stored', async () => {
    const careless = defineAggregate({
      type: 'careless',
      events: { Measured: typed<{ value: number }>() },
      commands: { Measure: noData },
      initialState: () => 0,
    }).implement({
      handle: { Measure: (state, _, { apply }) => void apply(state, { type: 'Measured', data: { value: Number.NaN } }) },
      apply: { Measured: (_, { value }) => value },
    })
    const app = createApp({ store: memoryStore(), aggregates: { careless } })
    const error = await failureOf(app.aggregates.careless.execute('m', { type: 'Measure' }))
    expect(error).toMatchObject({ code: 'INVALID_EVENT', issues: [{ path: ['value'] }] })
  })
})
