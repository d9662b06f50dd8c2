import { createApp, defineAggregate, defineProcess, type Store, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { testClock } from 'cqrs-es/testing'
import { describe, expect, test } from 'vitest'
import { failureOf, thrownBy } from '../../support/async.ts'
import { fulfilling } from '../../support/fulfilment.ts'
import { named, processOf, signal, stepping, stores } from '../../support/process-stories.ts'
import { changed, counting, unordered } from '../../support/stores.ts'

const byName = { Began: named, Noted: named }
const allStart = { starts: ['Began', 'Noted'], correlate: byName }

describe.each(stores)('events of a process on $name', ({ open }) => {
  test('an instance receives each event once when aggregates are reported twice', async () => {
    const { app, begin, note, load, drain } = stepping(processOf({}), { store: await open() })
    await begin('a')
    await note('a', 'one')
    const change = { aggregateType: 'signal', aggregateId: 'a', sequence: 2 }
    await Promise.all([app.catchUp([change, change]), app.catchUp([change])])
    await drain()
    await app.catchUp([change])
    expect((await load('a')).state).toEqual({ seen: ['one'] })
    await app.close()
  })

  test('one event changes several instances, each once', async () => {
    const { app, begin, load, drain } = stepping(
      processOf({ ...allStart, on: { Began: (state: { seen: string[] }) => ({ state: { seen: [...state.seen, 'began'] } }) } }),
      { store: await open() },
    )
    await begin('a', ['x', 'x', 'y'])
    await begin('b', [])
    await drain()
    expect([(await load('x')).state, (await load('y')).state]).toEqual([{ seen: ['began'] }, { seen: ['began'] }])
    expect([await load('a'), await load('b')]).toEqual([undefined, undefined])
    await app.close()
  })

  test('an event of an unknown instance that does not start one is ignored', async () => {
    const { app, note, load, drain } = stepping(processOf({}), { store: await open() })
    await note('a', 'one')
    expect(await drain()).toMatchObject({ caughtUp: true, events: 1 })
    expect(await load('a')).toBeUndefined()
    await app.close()
  })

  test('a second starting event continues a running instance', async () => {
    const { app, begin, note, load, drain } = stepping(processOf(allStart), { store: await open() })
    await begin('a', ['x'])
    await note('a', 'one', ['x'])
    await drain()
    await begin('b', ['x'])
    await note('b', 'two', ['x'])
    await drain()
    expect((await load('x')).state).toEqual({ seen: ['one', 'two'] })
    await app.close()
  })

  test('an event of an ended instance leaves it as it is', async () => {
    const { app, begin, note, load, drain } = stepping(processOf({ on: { Began: () => ({ done: 'at once' }) } }), {
      store: await open(),
    })
    await begin('a')
    await drain()
    const before = await load('a')
    await note('a', 'one')
    await begin('a')
    expect(await drain()).toMatchObject({ caughtUp: true, events: 2 })
    expect(await load('a')).toEqual(before)
    expect(before).toMatchObject({ status: 'ended', outcome: 'at once' })
    await app.close()
  })

  test('ids of any text are ids of instances', async () => {
    const { app, begin, load, drain } = stepping(processOf({}), { store: await open() })
    const ids = ['__proto__', 'constructor', 'i'.repeat(255), '🚲', 'a/b']
    for (const id of ids) await begin(id)
    await drain()
    for (const id of ids) expect(await load(id)).toMatchObject({ id, status: 'running' })
    await app.close()
  })

  test("a process with from: 'now' ignores earlier events", async () => {
    const store = await open()
    const first = stepping(
      processOf(
        { on: { Began: () => ({ send: [{ to: 'target', id: 't', type: 'Do', data: { what: 'x' } }] }) } },
        { from: 'now' },
      ),
      { store },
    )
    await first.begin('old')
    first.clock.advance('1h')
    await first.drain()
    first.clock.advance('1h')
    await first.begin('new')
    await first.drain()
    expect([await first.load('old'), await first.done()]).toEqual([undefined, ['x']])
    expect(await first.load('new')).toMatchObject({ status: 'running' })
    await first.app.close()
  })

  test('a hundred events of one instance are stored with one write of its row', async () => {
    const calls: string[] = []
    const store = await open()
    const shown = (name: string, [first]: readonly unknown[]) =>
      name === 'append' ? (JSON.stringify(first).includes('"~process/steps"') ? 'instance' : 'other') : name
    const { app, begin, load, drain } = stepping(processOf({}), { store: counting(store, calls, shown) })
    await begin('a')
    await app.aggregates.signal.execute('a', {
      type: 'NoteEach',
      data: { notes: Array.from({ length: 99 }, (_, i) => String(i)) },
    })
    await drain()
    expect((await load('a')).state.seen).toHaveLength(99)
    expect(calls.filter((call) => call === 'instance')).toHaveLength(1)
    await app.close()
  })

  test('two apps that process the same instance at once lose no event', async () => {
    const store = await open()
    const process = processOf({ ...allStart })
    const [one, two] = [stepping(process, { store }), stepping(process, { store })]
    await one.begin('start', ['x'])
    await one.drain()
    const changes = []
    for (let i = 0; i < 12; i++) {
      await one.note(`n-${i}`, String(i), ['x'])
      changes.push({ aggregateType: 'signal', aggregateId: `n-${i}`, sequence: 1 })
    }
    await Promise.all([one.app.catchUp(changes), two.app.catchUp([...changes].reverse()), one.drain(), two.drain()])
    await one.drain()
    const { seen } = (await one.load('x')).state
    expect([...seen].sort()).toEqual(Array.from({ length: 12 }, (_, i) => String(i)).sort())
    await one.app.close()
    await two.app.close()
  })
})

test('a payment that is reported before its order is kept on a store without a global order', async () => {
  const { app, place, pay, statusOf } = fulfilling(unordered(memoryStore()))
  await place('o-1', 'tea')
  await pay('p-1', 'o-1')
  expect(await app.catchUp([{ aggregateType: 'payment', aggregateId: 'p-1', sequence: 1 }])).toEqual([undefined])
  expect(await statusOf('o-1')).toBe('confirmed')
  await app.close()
})

test('a payment without an order is ignored on a store without a global order', async () => {
  const { app, place, pay, statusOf } = fulfilling(unordered(memoryStore()))
  await pay('p-1', 'o-1')
  expect(await app.catchUp([{ aggregateType: 'payment', aggregateId: 'p-1', sequence: 1 }])).toEqual([undefined])
  await place('o-1', 'tea')
  await app.drain({ reconcile: true })
  expect(await statusOf('o-1')).toBe('placed')
  await app.close()
})

test('two aggregates whose events need the start of the other are both processed', async () => {
  const store = unordered(memoryStore())
  const { app, begin, note, load } = stepping(processOf({ correlate: { Noted: named } }), { store })
  await begin('a')
  await note('a', 'for b', ['b'])
  await begin('b')
  await note('b', 'for a', ['a'])
  const changes = ['a', 'b'].map((aggregateId) => ({ aggregateType: 'signal', aggregateId, sequence: 2 }))
  expect(await app.catchUp(changes)).toEqual([undefined, undefined])
  expect([(await load('a')).state.seen, (await load('b')).state.seen]).toEqual([['for a'], ['for b']])
  await app.close()
})

test('a process that correlates a start is refused on a store without a global order', () => {
  const process = processOf({ correlate: byName })
  expect(thrownBy(() => stepping(process, { store: unordered(memoryStore()) }))).toMatchObject({
    code: 'DEFINITION',
    message: expect.stringContaining("correlates 'Began', an event in starts"),
  })
  stepping(process)
  stepping(processOf(allStart), { store: unordered(memoryStore()) })
})

test('a process stops at an event whose instance cannot be found, and continues after resume()', async () => {
  let isBroken = true
  const correlate = ({ aggregateId }: { readonly aggregateId: string }) => (isBroken ? '' : aggregateId)
  const { app, begin, load, drain } = stepping(processOf({ correlate: { Began: correlate } }))
  await begin('a')
  expect(await drain()).toMatchObject({ caughtUp: false })
  expect(await app.processes.steps.health()).toMatchObject({
    state: 'stopped',
    because: expect.stringContaining('an id must not be empty'),
  })
  expect(await failureOf(app.processes.steps.caughtUp())).toMatchObject({ code: 'STOPPED', eventId: 'signal/a/1' })
  isBroken = false
  await app.processes.steps.resume()
  expect(await drain()).toMatchObject({ caughtUp: true })
  expect(await load('a')).toMatchObject({ status: 'running' })
  await app.close()
})

test('an event for more instances than fit in a commit stops the process', async () => {
  const few = (store: Store) => changed(store, { capabilities: { ...store.capabilities, itemsPerCommit: 100 } })
  const { app, begin, drain } = stepping(processOf(allStart), { store: few(unordered(memoryStore())) })
  await begin(
    'a',
    Array.from({ length: 300 }, (_, i) => `i-${i}`),
  )
  await drain()
  expect(await app.processes.steps.health()).toMatchObject({
    state: 'stopped',
    because: expect.stringContaining('it returned 300 ids'),
  })
  await app.close()
})

test('an event for three hundred instances changes them in one commit where the store has room', async () => {
  const { app, begin, drain } = stepping(processOf(allStart))
  await begin(
    'a',
    Array.from({ length: 300 }, (_, i) => `i-${i}`),
  )
  await drain()
  const page = await app.processes.steps.list({ limit: 1_000 })
  expect(page.items).toHaveLength(300)
  await app.close()
})

test('an instance starts by what upcasters make of an event, or not at all', async () => {
  const store = memoryStore()
  const old = createApp({ store, aggregates: { signal }, runtime: testClock() })
  for (const id of ['dropped', 'split']) await old.aggregates.signal.execute(id, { type: 'Begin', data: { to: [id] } })
  await old.close()
  const upcasted = defineAggregate({
    type: 'signal',
    events: { Started: typed<{ nth: number }>() },
    commands: {},
    initialState: () => ({}),
    upcasters: [
      {
        canUpcast: (type: string) => type === 'Began',
        upcast: (event) =>
          (event.data as { readonly to: readonly string[] }).to[0] === 'dropped'
            ? []
            : [1, 2].map((nth) => ({ ...event, type: 'Started', version: '1.0', data: { nth } })),
      },
    ],
  }).implement({ handle: {}, apply: { Started: (state) => state } })
  const counting = defineProcess({
    name: 'counting',
    aggregates: [upcasted],
    initialState: () => ({ nth: [] as readonly number[] }),
    from: 'beginning',
  }).implement({ starts: ['Started'], on: { Started: ({ nth }, { data }) => ({ state: { nth: [...nth, data.nth] } }) } })
  const app = createApp({ store, aggregates: { signal: upcasted }, processes: { counting } })
  await app.drain()
  expect(await app.processes.counting.load('dropped')).toBeUndefined()
  expect((await app.processes.counting.load('split'))?.state).toEqual({ nth: [1, 2] })
  await app.close()
})
