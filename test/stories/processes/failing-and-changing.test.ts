import { memoryStore } from 'cqrs-es/memory'
import { testClock } from 'cqrs-es/testing'
import { describe, expect, test } from 'vitest'
import { failureOf, gate, settled } from '../../support/async.ts'
import { plain, processOf, stepping, stores, toDo } from '../../support/process-stories.ts'
import { changed, sendingBy, unordered } from '../../support/stores.ts'

type State = { readonly seen: readonly string[] }
type Noted = { readonly data: { readonly note: string } }
const saw = ({ seen }: State, what: string) => ({ state: { seen: [...seen, what] } })

const shape = { '~typed': undefined }
const calling = (
  pay: (input: unknown, context: { readonly key: string; readonly attempt: number; readonly signal: AbortSignal }) => unknown,
  options: object = {},
  behavior: object = {},
) =>
  processOf(
    {
      on: { Began: () => ({ send: [{ call: 'pay', data: { amount: 5 } }] }) },
      replies: {
        pay: (state: State, { result }: { readonly result: { readonly id: string } }) => saw(state, `paid ${result.id}`),
      },
      ...behavior,
    },
    { calls: { pay: { input: shape, output: shape } }, ...options },
  ).with({ pay })

describe.each(stores)('external calls of a process on $name', ({ open }) => {
  test('a call that fails is retried after waits that are stored, under the same key', async () => {
    const made: { readonly key: string; readonly attempt: number; readonly metadata: unknown }[] = []
    const { app, clock, begin, load, drain, observed } = stepping(
      calling((_, context) => {
        made.push(context as never)
        if (made.length < 4) throw new Error('no answer')
        return { id: 'p-1' }
      }),
      { store: await open() },
    )
    await begin('a')
    expect(await drain()).toMatchObject({ caughtUp: true, nextDue: new Date('2030-01-01T00:00:01Z') })
    await drain()
    expect(made).toHaveLength(1)
    for (const wait of ['1s', '2s', '4s'] as const) {
      clock.advance(wait)
      await drain()
    }
    expect(made.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4])
    expect(new Set(made.map(({ key }) => key)).size).toBe(1)
    expect(made[0]?.key).toMatch(/^[0-9a-f]{64}$/)
    expect(made[0]?.metadata).toEqual({ correlationId: 'signal/a/1', causationId: 'signal/a/1', process: 'steps/a' })
    expect((await load('a')).state.seen).toEqual(['paid p-1'])
    expect(observed.filter(({ kind }) => kind === 'call')).toMatchObject([
      { call: 'pay', attempt: 1, error: { message: 'no answer' } },
      { attempt: 2 },
      { attempt: 3 },
      { process: 'steps', instance: 'a', attempt: 4 },
    ])
    await app.close()
  })

  test('a call whose process dies fifty times has one key, and its result is processed once', async () => {
    const store = await open()
    const keys: string[] = []
    let died = () => {}
    const dying = calling((_, { key }) => {
      keys.push(key)
      died()
      return new Promise(() => {})
    })
    const setter = stepping(
      calling(() => ({ id: 'x' })),
      { store },
    )
    await setter.begin('a')
    const change = { aggregateType: 'signal', aggregateId: 'a', sequence: 1 }
    for (let deaths = 0; deaths < 50; deaths++) {
      let isDead = false
      const isCalled = new Promise<void>((resolve) => {
        died = () => {
          isDead = true
          resolve()
        }
      })
      const mortal = stepping(dying, {
        store: changed(store, {
          acquireLease: (request) => store.acquireLease({ ...request, ttlMs: 1 }),
          renewLease: async () => true,
        }),
      })
      void mortal.app.catchUp([change]).catch(() => {})
      const drainOn = async () => {
        for (; !isDead; await settled()) await mortal.drain()
      }
      void drainOn()
      await isCalled
    }
    const last = stepping(
      calling((_, { key, attempt }) => {
        keys.push(key)
        return { id: `at attempt ${attempt}` }
      }),
      { store },
    )
    await expect.poll(async () => (await last.drain()) && (await last.load('a')).state.seen).toEqual(['paid at attempt 1'])
    await last.drain()
    expect(new Set(keys).size).toBe(1)
    expect(keys.length).toBeGreaterThanOrEqual(51)
    await last.app.close()
    await setter.app.close()
  })
})

test('a call past its time limit is ignored when it ends later', async () => {
  let answer: (value: unknown) => void = () => {}
  const signals: AbortSignal[] = []
  const { app, clock, begin, load, drain } = stepping(
    calling(
      (_, { signal }) => {
        signals.push(signal)
        return signals.length > 1
          ? { id: 'second' }
          : new Promise((resolve) => {
              answer = resolve
            })
      },
      { timeoutMs: 10 },
    ),
  )
  await begin('a')
  await drain()
  expect(signals[0]?.aborted).toBe(true)
  expect((await load('a')).waitsFor.sends).toMatchObject([
    { what: 'call pay', attempts: 1, error: 'The call did not end within 10 ms.' },
  ])
  answer({ id: 'late' })
  clock.advance('1s')
  await drain()
  expect((await load('a')).state.seen).toEqual(['paid second'])
  await app.close()
})

test('a result that is not JSON, or does not fit its schema, leaves the instance stuck at once', async () => {
  const { z } = await import('zod')
  const notJson = stepping(calling(() => ({ at: () => 1 })))
  await notJson.begin('a')
  await notJson.drain()
  expect((await notJson.load('a')).error).toMatchObject({
    code: 'VALIDATION',
    message: "The call 'pay' of process 'steps' returned a result that is not JSON: at is function.",
  })
  await notJson.app.close()
  const unfit = stepping(calling(() => ({ id: 5 }), { calls: { pay: { input: shape, output: z.object({ id: z.string() }) } } }))
  await unfit.begin('a')
  await unfit.drain()
  expect((await unfit.load('a')).error).toMatchObject({
    code: 'VALIDATION',
    message: expect.stringContaining('returned an unfit result: id'),
  })
  await unfit.app.close()
})

test('the result of a call is stored though an event changes the instance meanwhile', async () => {
  const store = unordered(memoryStore())
  const { reached, pass, open } = gate()
  let calls = 0
  const process = calling(async () => {
    calls++
    await pass()
    return { id: 'p-1' }
  })
  const { app, begin, note, load } = stepping(process, { store })
  await begin('a')
  const change = (sequence: number) => ({ aggregateType: 'signal', aggregateId: 'a', sequence })
  const first = app.catchUp([change(1)])
  await reached
  await note('a', 'meanwhile')
  const other = stepping(
    processOf({}, { calls: { pay: { input: shape, output: shape } } }).with({ pay: () => new Promise(() => {}) }),
    { store },
  )
  void other.app.catchUp([change(2)])
  await expect.poll(async () => (await load('a')).state.seen).toEqual(['meanwhile'])
  open()
  await first
  expect([(await load('a')).state.seen, calls]).toEqual([['meanwhile', 'paid p-1'], 1])
  await app.close()
})

test('a command that fails ten times leaves its instance stuck, and resume() retries it', async () => {
  const { app, clock, services, begin, load, done, drain } = stepping(
    processOf({ on: { Began: () => ({ send: [plain('Throw'), toDo('after')] }) } }),
  )
  await begin('a')
  const waits: number[] = []
  for (let due = (await drain()).nextDue; due !== undefined; due = (await drain()).nextDue) {
    waits.push((due.getTime() - clock.now().getTime()) / 1_000)
    clock.set(due)
  }
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256])
  expect(services.seen).toHaveLength(10)
  expect(await load('a')).toMatchObject({
    status: 'stuck',
    error: { message: 'It is odd.', at: '1' },
    waitsFor: { sends: [{ what: "Throw to target 't'", attempts: 10 }, { what: "Do to target 't'" }] },
  })
  services.isFailing = false
  await app.processes.steps.resume()
  await drain()
  expect(await done()).toEqual(['thrown', 'after'])
  await app.close()
})

test('failed decides on what has failed for good', async () => {
  const { app, begin, load, done, drain } = stepping(
    processOf(
      {
        on: { Began: () => ({ send: [plain('Throw'), toDo('after')] }) },
        failed: (
          state: State,
          {
            sent,
            message,
            attempts,
          }: { readonly sent: { readonly type: string }; readonly message: string; readonly attempts: number },
        ) => ({
          ...saw(state, `${sent.type} ${message} ${attempts}`),
          instead: [toDo('instead')],
        }),
      },
      { attempts: 1 },
    ),
  )
  await begin('a')
  await drain()
  expect(await load('a')).toMatchObject({ status: 'running', state: { seen: ['Throw It is odd. 1'] } })
  expect(await done()).toEqual(['instead'])
  await app.close()
})

test('an instance stuck at a command still receives events and timers; instead frees it', async () => {
  const { reached, pass, open } = gate()
  const store = memoryStore()
  let isHeld = false
  const held = sendingBy(store, async (commit, really) => {
    if (isHeld && commit.appends.length > 0) await pass()
    return really(commit)
  })
  const process = processOf(
    {
      on: { Began: () => ({ send: [plain('Throw')], timers: { first: { in: '1m' } } }) },
      timers: { first: (state: State) => ({ ...saw(state, 'late'), instead: [toDo('instead')] }) },
    },
    { attempts: 1 },
  )
  const { app, clock, begin, note, load, done, drain } = stepping(process, { store })
  await begin('a')
  await drain()
  await note('a', 'still heard')
  await drain()
  expect(await load('a')).toMatchObject({ status: 'stuck', state: { seen: ['still heard'] } })
  await app.processes.steps.resume('a')
  const frozen = stepping(process, {
    store: changed(held, {
      renewLease: async () => true,
      acquireLease: (request) => store.acquireLease({ ...request, ttlMs: 1 }),
    }),
  })
  frozen.services.isFailing = false
  isHeld = true
  const working = frozen.drain().catch(() => {})
  await reached
  clock.advance('1m')
  await expect.poll(async () => (await drain()) && (await load('a')).state.seen).toEqual(['still heard', 'late'])
  expect(await load('a')).toMatchObject({ status: 'running', state: { seen: ['still heard', 'late'] } })
  open()
  await working
  expect(await done()).toEqual(['instead'])
  await app.close()
  await frozen.app.close()
})

test.each(stores)('an instance stuck at an event still sends, and continues in order on $name', async ({ open }) => {
  let isBroken = true
  const { app, begin, note, load, done, drain } = stepping(
    processOf({
      on: {
        Began: () => ({ send: [toDo('one'), toDo('two')], timers: { first: { in: '0s' } } }),
        Noted: (state: State, { data }: Noted) => {
          if (isBroken && data.note === 'odd') throw new Error('What is odd?')
          return saw(state, data.note)
        },
      },
      timers: { first: (state: State) => saw(state, 'timer') },
    }),
    { store: await open() },
  )
  await begin('a')
  await note('a', 'odd')
  await note('a', 'next')
  expect(await drain()).toMatchObject({ caughtUp: true })
  expect(await done()).toEqual(['one', 'two'])
  expect(await load('a')).toMatchObject({
    status: 'stuck',
    state: { seen: [] },
    error: { at: 'signal/a/2', message: 'What is odd?' },
    waitsFor: { events: ['signal/a/3'], timers: { first: expect.any(String) } },
  })
  isBroken = false
  await note('a', 'last')
  await app.processes.steps.resume('a')
  await drain()
  expect(await load('a')).toMatchObject({
    status: 'running',
    state: { seen: ['odd', 'next', 'last', 'timer'] },
    waitsFor: { events: [] },
  })
  await app.close()
})

test('a stuck instance keeps 1,000 events, then its process stops until resume()', async () => {
  let isBroken = true
  const { app, begin, load, drain } = stepping(
    processOf({
      on: {
        Noted: (state: State, { data }: Noted) => {
          if (isBroken) throw new Error('Stuck')
          return saw(state, data.note)
        },
      },
    }),
  )
  await begin('a')
  const notes = Array.from({ length: 1_002 }, (_, i) => String(i))
  await app.aggregates.signal.execute('a', { type: 'NoteEach', data: { notes } })
  await drain()
  expect(await app.processes.steps.health()).toMatchObject({
    state: 'stopped',
    because: expect.stringContaining("1,000 events wait for the instance 'a' of the process 'steps', which is stuck."),
  })
  isBroken = false
  await app.processes.steps.resume()
  await drain()
  expect((await load('a')).state.seen).toEqual(notes)
  await app.close()
})

test('an instance whose start fails is stuck at it and starts after resume()', async () => {
  let isBroken = true
  const { app, begin, note, load, drain } = stepping(
    processOf({
      on: {
        Began: (state: State) => {
          if (isBroken) throw new Error('Not yet')
          return saw(state, 'began')
        },
      },
    }),
  )
  await begin('a')
  await note('a', 'one')
  await drain()
  expect(await load('a')).toMatchObject({ status: 'stuck', startedBy: 'signal/a/1', error: { at: 'signal/a/1' } })
  isBroken = false
  await app.processes.steps.resume('a')
  await drain()
  expect((await load('a')).state.seen).toEqual(['began', 'one'])
  await app.close()
})

test('a timer whose function throws holds up later inputs until resume()', async () => {
  let isBroken = true
  const { app, begin, note, load, drain } = stepping(
    processOf({
      on: { Began: () => ({ timers: { first: { in: '0s' } } }) },
      timers: {
        first: (state: State) => {
          if (isBroken) throw new Error('Odd')
          return saw(state, 'timer')
        },
      },
    }),
  )
  await begin('a')
  await drain()
  await note('a', 'after')
  await drain()
  expect(await load('a')).toMatchObject({ status: 'stuck', error: { at: 'timer first' }, waitsFor: { events: ['signal/a/2'] } })
  isBroken = false
  await app.processes.steps.resume('a')
  await drain()
  expect((await load('a')).state.seen).toEqual(['timer', 'after'])
  await app.close()
})

test('a new program upgrades running instances, and the old one leaves them to it', async () => {
  const store = memoryStore()
  const clock = testClock('2030-01-01')
  const behavior = {
    on: { Began: () => ({ timers: { first: { in: '1m' } } }) },
    timers: { first: (state: State) => saw(state, 'timer') },
  }
  const upgrade = ({ seen }: State, from: number) => ({ seen: [...seen, `upgraded from ${from}`] })
  const old = stepping(processOf(behavior), { store, clock })
  const next = stepping(processOf(behavior, { stateVersion: 2, upgrade }), { store, clock })
  await old.begin('a')
  await old.begin('b')
  await old.drain()
  await old.note('a', 'one')
  await next.drain()
  expect(await next.load('a')).toMatchObject({ stateVersion: 2, state: { seen: ['upgraded from 1', 'one'] } })
  await old.note('b', 'two')
  clock.advance('1m')
  await old.drain()
  expect(await old.load('b')).toMatchObject({ stateVersion: 1, state: { seen: ['two', 'timer'] } })
  expect((await old.load('a')).state.seen).toEqual(['upgraded from 1', 'one'])
  await old.note('a', 'three')
  expect(await old.drain()).toMatchObject({ caughtUp: false })
  expect(await old.app.processes.steps.health()).toMatchObject({ state: 'outdated' })
  await next.drain()
  expect((await next.load('a')).state.seen).toEqual(['upgraded from 1', 'one', 'three', 'timer'])
  await old.drain()
  expect(await old.load('b')).toMatchObject({ stateVersion: 1 })
  await old.app.close()
  await next.app.close()
})

test.each([
  [undefined, 'without upgrade'],
  [
    () => {
      throw new Error('no')
    },
    'upgrade from version 1 failed: no.',
  ],
])('an instance that cannot be upgraded is stuck at its next input', async (upgrade, message) => {
  const store = memoryStore()
  const old = stepping(processOf({}), { store })
  await old.begin('a')
  await old.drain()
  await old.app.close()
  const next = stepping(processOf({}, { stateVersion: 2, ...(upgrade === undefined ? {} : { upgrade }) }), { store })
  await next.note('a', 'one')
  await next.drain()
  expect(await next.load('a')).toMatchObject({
    status: 'stuck',
    stateVersion: 1,
    error: { at: 'signal/a/2', message: expect.stringContaining(message) },
  })
  await next.app.close()
  const fixed = stepping(processOf({}, { stateVersion: 2, upgrade: (state: State) => state }), { store })
  await fixed.app.processes.steps.resume('a')
  await fixed.drain()
  expect((await fixed.load('a')).state.seen).toEqual(['one'])
  await fixed.app.close()
})

test('abandon ends a running instance once, whatever it waits for', async () => {
  const { app, clock, begin, load, done, drain } = stepping(
    processOf({ on: { Began: () => ({ send: [plain('Throw'), toDo('after')], timers: { first: { in: '1m' } } }) } }),
  )
  await begin('a')
  await drain()
  const { steps } = app.processes
  expect([
    await steps.abandon('a', 'wrong customer'),
    await steps.abandon('a', 'again'),
    await steps.abandon('none', 'x'),
  ]).toEqual([true, false, false])
  clock.advance('1h')
  expect(await drain()).toEqual({ caughtUp: true, events: 0 })
  expect(await load('a')).toMatchObject({
    status: 'ended',
    outcome: 'abandoned: wrong customer',
    waitsFor: { sends: [], timers: {}, events: [] },
  })
  expect(await done()).toEqual([])
  await app.close()
})

test('an instance that has ended is stuck at its last command until it is abandoned', async () => {
  const { app, begin, load, drain } = stepping(
    processOf({ on: { Began: () => ({ send: [plain('Refuse'), toDo('x')], done: 'over' }) }, replies: { Refuse: () => {} } }),
  )
  await begin('a')
  await drain()
  expect(await load('a')).toMatchObject({ status: 'stuck', outcome: 'over', error: { code: 'REFUSED' } })
  expect((await app.processes.steps.list({ only: 'stuck' })).items).toHaveLength(1)
  expect((await app.processes.steps.list()).items).toHaveLength(0)
  expect(await app.processes.steps.abandon('a', 'nothing to refuse')).toBe(true)
  expect(await load('a')).toMatchObject({ status: 'ended', outcome: 'abandoned: nothing to refuse' })
  await app.close()
})

test('an ended instance receives no reply to its last commands', async () => {
  const { app, begin, load, done, drain } = stepping(
    processOf({
      on: { Began: () => ({ send: [toDo('last')], done: 'over' }) },
      replies: { Do: (state: State) => saw(state, 'never') },
    }),
  )
  await begin('a')
  await drain()
  expect([await done(), await load('a')]).toMatchObject([['last'], { status: 'ended', outcome: 'over', state: { seen: [] } }])
  await app.close()
})

test.each(stores)('list pages through running instances, the next due first, on $name', async ({ open }) => {
  const { app, begin, drain } = stepping(
    processOf({
      on: {
        Began: (_: State, __: object, { id }: { readonly id: string }) =>
          id.startsWith('waits') ? undefined : id === 'ended' ? { done: 'x' } : { timers: { first: { in: `${id.slice(2)}m` } } },
      },
    }),
    { store: await open() },
  )
  const ids = [...Array.from({ length: 12 }, (_, i) => `i-${i + 1}`), 'waits-1', 'waits-2', 'ended']
  for (const id of [...ids].reverse()) await begin(id)
  await drain()
  const found: string[] = []
  let after: string | undefined
  do {
    const page = await app.processes.steps.list({ limit: 5, after })
    found.push(...page.items.map(({ id }) => id))
    after = page.next
  } while (after !== undefined)
  expect(found.slice(0, 12)).toEqual(ids.slice(0, 12))
  expect(found.slice(12).sort()).toEqual(['waits-1', 'waits-2'])
  expect(await failureOf(app.processes.steps.list({ after: 'x' }))).toMatchObject({ code: 'VALIDATION' })
  expect(await failureOf(app.processes.steps.list({ limit: 0 }))).toMatchObject({ code: 'VALIDATION' })
  expect(await failureOf(app.processes.steps.load(''))).toMatchObject({ code: 'VALIDATION' })
  expect(await failureOf(app.processes.steps.abandon('i-1', ''))).toMatchObject({ code: 'VALIDATION' })
  await app.close()
})
