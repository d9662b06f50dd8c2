import { memoryStore } from 'cqrs-es/memory'
import { testClock } from 'cqrs-es/testing'
import { describe, expect, test } from 'vitest'
import { thrownBy } from '../../support/async.ts'
import { plain, processOf, stepping, stores, toDo } from '../../support/process-stories.ts'
import { changed, counting } from '../../support/stores.ts'

type State = { readonly seen: readonly string[] }
type Timer = { readonly name: string; readonly dueAt: string }
const fired = ({ seen }: State, { name }: Timer) => ({ state: { seen: [...seen, name] } })
const timers = { first: fired, second: fired }
const setting = (set: object) => ({ on: { Began: () => ({ timers: set }) }, timers })

describe.each(stores)('timers of a process on $name', ({ open }) => {
  test('a timer never fires a millisecond early, and fires once', async () => {
    const { app, clock, begin, load, drain } = stepping(processOf(setting({ first: { in: '15m' } })), { store: await open() })
    await begin('a')
    expect(await drain()).toMatchObject({ caughtUp: true, nextDue: new Date('2030-01-01T00:15:00Z') })
    clock.set('2030-01-01T00:14:59.999Z')
    await drain()
    expect((await load('a')).state.seen).toEqual([])
    clock.set('2030-01-01T00:15:00.000Z')
    await drain()
    await drain()
    expect((await load('a')).state.seen).toEqual(['first'])
    await app.close()
  })

  test('a timer that is canceled when it is due either fires or is canceled', async () => {
    const store = await open()
    const process = processOf({
      on: {
        Began: () => ({ timers: { first: { in: '1m' } } }),
        Noted: ({ seen }: State) => ({ state: { seen: [...seen, 'canceled'] }, timers: { first: null } }),
      },
      timers,
    })
    const clock = testClock('2030-01-01')
    const [one, two] = [stepping(process, { store, clock }), stepping(process, { store, clock })]
    for (let i = 0; i < 10; i++) await one.begin(`a-${i}`)
    await one.drain()
    clock.advance('1m')
    const changes = Array.from({ length: 10 }, (_, i) => ({ aggregateType: 'signal', aggregateId: `a-${i}`, sequence: 2 }))
    for (let i = 0; i < 10; i++) await one.note(`a-${i}`, 'x')
    await Promise.all([one.drain(), two.app.catchUp(changes), two.drain()])
    await one.drain()
    for (let i = 0; i < 10; i++) {
      const { state, waitsFor } = await one.load(`a-${i}`)
      expect([['canceled'], ['first', 'canceled']]).toContainEqual(state.seen)
      expect(waitsFor.timers).toEqual({})
    }
    await one.app.close()
    await two.app.close()
  })

  test('a timer that is set again moves to its new time', async () => {
    const { app, clock, begin, note, load, drain } = stepping(
      processOf({
        on: {
          Began: () => ({ timers: { first: { in: '10m' } } }),
          Noted: (_: State, { data }: { readonly data: { readonly note: string } }) => ({ timers: { first: { in: data.note } } }),
        },
        timers,
      }),
      { store: await open() },
    )
    const dueAt = async () => (await load('a')).waitsFor.timers.first
    await begin('a')
    await note('a', '5m')
    await drain()
    expect(await dueAt()).toBe('2030-01-01T00:05:00.000Z')
    await note('a', '20m')
    expect(await drain()).toMatchObject({ nextDue: new Date('2030-01-01T00:20:00Z') })
    clock.advance('10m')
    await drain()
    expect(await dueAt()).toBe('2030-01-01T00:20:00.000Z')
    clock.advance('10m')
    await drain()
    expect((await load('a')).state.seen).toEqual(['first'])
    await app.close()
  })

  test('timers count from their input, so a process that lags does not push them out', async () => {
    const { app, clock, begin, load, drain } = stepping(
      processOf(setting({ first: { in: '15m' }, second: { at: '2020-01-01T00:00:00Z' } })),
      { store: await open() },
    )
    await begin('a')
    clock.advance('1h')
    await drain()
    expect((await load('a')).state.seen).toEqual(['second', 'first'])
    await app.close()
  })

  test('timers that are due at the same time fire in the order of their names', async () => {
    const { app, clock, begin, load, drain } = stepping(processOf(setting({ second: { in: '1m' }, first: { in: '1m' } })), {
      store: await open(),
    })
    await begin('a')
    clock.advance('1m')
    await drain()
    expect((await load('a')).state.seen).toEqual(['first', 'second'])
    await app.close()
  })

  test('a clock that goes back fires nothing twice', async () => {
    const { app, clock, begin, load, drain } = stepping(processOf(setting({ first: { in: '1m' } })), { store: await open() })
    await begin('a')
    clock.advance('1m')
    await drain()
    clock.set('2029-12-31')
    await drain()
    clock.set('2030-01-02')
    await drain()
    expect((await load('a')).state.seen).toEqual(['first'])
    await app.close()
  })

  test('an instance that has ended keeps no timer', async () => {
    const { app, clock, begin, load, drain } = stepping(
      processOf({ on: { Began: () => ({ timers: { first: { in: '1m' } }, done: 'over' }) }, timers }),
      { store: await open() },
    )
    await begin('a')
    expect(await drain()).toEqual({ caughtUp: true, events: 1 })
    clock.advance('1m')
    await drain()
    expect(await load('a')).toMatchObject({ status: 'ended', state: { seen: [] }, waitsFor: { timers: {} } })
    await app.close()
  })

  test('a day has 24 hours, and a fraction of an hour is a duration', async () => {
    const { app, begin, load, drain } = stepping(processOf(setting({ first: { in: '1d' }, second: { in: '1.5h' } })), {
      store: await open(),
      clock: testClock('2030-03-30T22:30:00Z'),
    })
    await begin('a')
    await drain()
    expect((await load('a')).waitsFor.timers).toEqual({ first: '2030-03-31T22:30:00.000Z', second: '2030-03-31T00:00:00.000Z' })
    await app.close()
  })

  test('a timer without a function in this program leaves its instance stuck', async () => {
    const store = await open()
    const first = stepping(processOf(setting({ first: { in: '1m' } })), { store })
    await first.begin('a')
    await first.drain()
    const { timers: _, ...definition } = processOf(setting({}))['~definition']
    const second = stepping(
      { name: 'steps', '~process': true, '~definition': { ...definition, timers: new Map() } },
      { store, clock: testClock('2031-01-01') },
    )
    await second.drain()
    expect(await second.load('a')).toMatchObject({
      status: 'stuck',
      error: {
        at: 'timer first',
        message: "This program has no timer 'first'. Deploy a program that has it, then call resume().",
      },
    })
    first.clock.set('2031-01-01')
    await first.app.processes.steps.resume('a')
    await first.drain()
    expect(await first.load('a')).toMatchObject({ status: 'running', state: { seen: ['first'] } })
    await first.app.close()
    await second.app.close()
  })
})

test.each(['25 h', '-1m', '1e99d', 'soon', '1w', ''])("a step with the duration '%s' leaves its instance stuck", async (span) => {
  const { app, begin, load, drain } = stepping(processOf(setting({ first: { in: span } })))
  await begin('a')
  await drain()
  expect((await load('a')).error.message).toBe(
    `on.Began of process 'steps' sets the timer 'first' to '${span}', which is no duration, such as '90s', '15m', '24h' or '30d'.`,
  )
  await app.close()
})

test.each([new Date('x'), '1 January 2030', '+010000-01-01T00:00:00Z', 5])(
  'a step with the time %s leaves its instance stuck',
  async (at) => {
    const { app, begin, load, drain } = stepping(processOf(setting({ first: { at } })))
    await begin('a')
    await drain()
    expect((await load('a')).error.message).toContain('to a time that cannot be read')
    await app.close()
  },
)

test.each([{}, { in: '1m', at: '2030-01-01' }, 'tomorrow'])('a step with the timer %j leaves its instance stuck', async (due) => {
  const { app, begin, load, drain } = stepping(processOf(setting({ first: due })))
  await begin('a')
  await drain()
  expect((await load('a')).error.message).toContain('without { in } or { at }')
  await app.close()
})

test('many timers due at once fire the oldest first, over several drains with a budget', async () => {
  const instances = 300
  const order: string[] = []
  const { platformRuntime } = await import('cqrs-es')
  const store = memoryStore()
  const start = Date.now()
  const setter = stepping(
    processOf({
      on: {
        Began: (_: State, __: object, { id }: { readonly id: string }) => ({
          timers: { first: { at: new Date(start - instances + Number(id)).toISOString() } },
        }),
      },
      timers,
    }),
    { store, clock: testClock('2020-01-01') },
  )
  for (let i = 0; i < instances; i++) await setter.begin(String(i))
  await setter.drain()
  await setter.app.close()
  const firing = processOf({
    timers: {
      first: (_: State, __: Timer, { id }: { readonly id: string }) => {
        order.push(id)
        return { done: 'fired' }
      },
    },
  })
  const { app } = stepping(firing, { store, clock: platformRuntime })
  let drains = 0
  for (; order.length < instances; drains++) await app.drain({ budgetMs: 5 })
  expect(drains).toBeGreaterThan(1)
  expect(new Set(order).size).toBe(instances)
  expect(order.length).toBe(instances)
  // Up to 50 of a page are in any order.
  for (const [place, id] of order.entries()) expect(Math.abs(place - Number(id))).toBeLessThan(50)
  await app.close()
})

test('nextDue is the earliest of all processes', async () => {
  const store = memoryStore()
  const other = processOf(setting({ first: { in: '5m' } }), { name: 'other' })
  const { app, begin, clock } = stepping(processOf(setting({ first: { in: '10m' } })), {
    store,
    processes: { steps: processOf(setting({ first: { in: '10m' } })), other },
  })
  await begin('a')
  expect(await app.drain()).toMatchObject({ caughtUp: true, nextDue: new Date('2030-01-01T00:05:00Z') })
  clock.advance('5m')
  expect(await app.drain()).toMatchObject({ caughtUp: true, nextDue: new Date('2030-01-01T00:10:00Z') })
  await app.close()
})

test('an idle drain looks for due work with one query', async () => {
  const calls: string[] = []
  const shown = (name: string, [first]: readonly unknown[]) =>
    name === 'findViews' && (first as { readonly name: string }).name === '~process/steps' ? 'due' : name
  const { app, begin, drain } = stepping(processOf(setting({ first: { in: '10m' } })), {
    store: counting(memoryStore(), calls, shown),
  })
  await begin('a')
  await drain()
  calls.length = 0
  await drain()
  expect(calls.filter((call) => call === 'due')).toHaveLength(1)
  await app.close()
})

test('a started app fires timers though no event comes, also those of a server that was killed', async () => {
  const store = memoryStore()
  const clock = testClock('2030-01-01')
  const killed = changed(store, { renewLease: async () => false })
  const process = processOf(setting({ first: { in: '10m' } }))
  const dead = stepping(process, { store: killed, clock })
  await dead.begin('a')
  await dead.app.drain()
  const { app, load } = stepping(process, { store, clock, following: { pollMs: 10 } })
  await app.start()
  clock.advance('9m')
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect((await load('a')).state.seen).toEqual([])
  clock.advance('1m')
  await expect.poll(async () => (await load('a')).state.seen).toEqual(['first'])
  await app.close()
  await dead.app.close()
})

test('a started app that waits for a timer asks the store seldom', async () => {
  const calls: string[] = []
  const { app, begin, load } = stepping(processOf(setting({ first: { in: '10m' } })), { store: counting(memoryStore(), calls) })
  await app.start()
  await begin('a')
  await expect.poll(async () => load('a')).toBeDefined()
  await new Promise((resolve) => setTimeout(resolve, 100))
  calls.length = 0
  await new Promise((resolve) => setTimeout(resolve, 100))
  // A wait of the test clock takes 5 ms.
  expect(calls.length).toBeLessThan(400)
  await app.close()
})

test('a timer waits until the events before it are processed', async () => {
  const store = memoryStore()
  const { app, clock, begin, note, load } = stepping(
    processOf({
      on: {
        Began: () => ({ timers: { first: { in: '1m' } } }),
        Noted: (_: State, { data }: { readonly data: { readonly note: string } }) =>
          data.note === 'in time' ? { timers: { first: null } } : undefined,
      },
      timers,
    }),
    { store },
  )
  await begin('a')
  await app.drain()
  await note('a', 'before')
  await note('a', 'in time')
  clock.advance('1m')
  await app.drain({ maxEvents: 1 })
  expect((await load('a')).state.seen).toEqual([])
  await app.close()
})

test('a send waits for its retry while timers fire', async () => {
  const { app, clock, begin, load, drain } = stepping(
    processOf({ on: { Began: () => ({ send: [plain('Throw'), toDo('after')], timers: { first: { in: '0s' } } }) }, timers }),
  )
  await begin('a')
  expect(await drain()).toMatchObject({ caughtUp: true, nextDue: new Date('2030-01-01T00:00:01Z') })
  expect(await load('a')).toMatchObject({
    state: { seen: ['first'] },
    waitsFor: { sends: [{ attempts: 1, error: 'It is odd.' }, { attempts: 0 }] },
  })
  expect(thrownBy(() => clock.advance('soon' as never))).toMatchObject({ code: 'DEFINITION' })
  await app.close()
})
