import { createApp, defineView, type EventEnvelope } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import type { Commit } from 'cqrs-es/store'
import { describe, expect, test } from 'vitest'
import { collect, failureOf, gate, settled } from '../../support/async.ts'
import { fulfilling } from '../../support/fulfilment.ts'
import { plain, processOf, signal, stepping, stores, target, toDo } from '../../support/process-stories.ts'
import { changed, sendingBy, unordered } from '../../support/stores.ts'

type State = { readonly seen: readonly string[] }
type Reply = {
  readonly ok: boolean
  readonly reason?: string
  readonly events?: readonly object[]
  readonly sent: { readonly type: string }
}
const noteReply = (state: State, reply: Reply) => ({
  state: {
    seen: [...state.seen, reply.ok ? `${reply.sent.type} ${reply.events?.length}` : `${reply.sent.type} ${reply.reason}`],
  },
})
const replies = { Do: noteReply, Refuse: noteReply, Ignore: noteReply, Throw: noteReply }
const sending = (...send: readonly object[]) => ({ on: { Began: () => ({ send }) } })

const isOfInstance = ({ views = [] }: Commit) => views.some(({ name }) => name === '~process/steps')

describe.each(stores)('commands of a process on $name', ({ open }) => {
  test('commands of one step are stored in order, and each reply is processed once', async () => {
    const { app, begin, load, done, drain, observed } = stepping(
      processOf({ ...sending(toDo('one'), plain('Refuse'), plain('Ignore'), toDo('two')), replies }),
      { store: await open() },
    )
    await begin('a')
    await drain()
    expect(await done()).toEqual(['one', 'two'])
    expect(await load('a')).toMatchObject({ status: 'running', state: { seen: ['Do 1', 'Refuse refused', 'Ignore 0', 'Do 1'] } })
    expect(observed.map(({ at, outcome }) => `${at} ${outcome}`)).toEqual(
      ['signal/a/1', '1', '2', '3', '4'].map((at) => `${at} processed`),
    )
    await app.close()
  })

  test('a command may go to the aggregate whose event started the instance', async () => {
    const { app, begin, drain } = stepping(processOf(sending({ to: 'signal', id: 'a', type: 'Note', data: { note: 'back' } })), {
      store: await open(),
    })
    await begin('a')
    await drain()
    expect((await collect(app.aggregates.signal.events('a'))).map(({ type }) => type)).toEqual(['Began', 'Noted'])
    expect((await app.processes.steps.load('a'))?.state).toEqual({ seen: ['back'] })
    await app.close()
  })

  test('eight apps that work on one instance store its command once', async () => {
    const store = await open()
    const process = processOf({ ...sending(toDo('one'), toDo('two')), replies })
    const first = stepping(process, { store })
    const apps = [first, ...Array.from({ length: 7 }, () => stepping(process, { store }))]
    await first.begin('a')
    const change = { aggregateType: 'signal', aggregateId: 'a', sequence: 1 }
    await Promise.all(apps.map(({ app }) => app.catchUp([change])))
    await Promise.all(apps.map(({ drain }) => drain()))
    await first.drain()
    expect(await first.done()).toEqual(['one', 'two'])
    expect((await first.load('a')).state.seen).toEqual(['Do 1', 'Do 1'])
    await Promise.all(apps.map(({ app }) => app.close()))
  })

  test('a worker that was frozen before its commit stores nothing after the refusal was recorded', async () => {
    const store = await open()
    const { reached, pass, open: thaw } = gate()
    let isFrozen = false
    const slow = sendingBy(store, async (commit, really) => {
      if (isFrozen && isOfInstance(commit) && commit.appends.length > 0) await pass()
      return really(commit)
    })
    const process = processOf({ ...sending(toDo('one')), replies })
    const frozen = stepping(process, { store: unordered(slow) })
    const other = stepping(process, { store: unordered(store) })
    await other.begin('a')
    isFrozen = true
    const change = { aggregateType: 'signal', aggregateId: 'a', sequence: 1 }
    const waking = frozen.app.catchUp([change])
    await reached
    expect(await other.app.processes.steps.abandon('a', 'a person said so')).toBe(true)
    thaw()
    await waking
    await other.drain()
    expect(await other.done()).toEqual([])
    expect(await other.load('a')).toMatchObject({ status: 'ended', outcome: 'abandoned: a person said so' })
    await frozen.app.close()
    await other.app.close()
  })

  test('a command whose answer is lost is stored once', async () => {
    const store = await open()
    let lost = 0
    const losing = sendingBy(store, async (commit, really) => {
      const outcome = await really(commit)
      if (!isOfInstance(commit) || commit.appends.length === 0 || lost++ > 0) return outcome
      return { kind: 'failed', certain: false, cause: new Error('gone') }
    })
    const { app, begin, load, done, drain } = stepping(processOf({ ...sending(toDo('one')), replies }), { store: losing })
    await begin('a')
    await drain()
    expect([await done(), (await load('a')).state.seen, lost]).toEqual([['one'], ['Do 1'], 2])
    await app.close()
  })

  test('a refusal and a timer whose answers are lost are recorded once', async () => {
    const store = await open()
    const lost = new Set<string>()
    const losing = sendingBy(store, async (commit, really) => {
      const outcome = await really(commit)
      if (!isOfInstance(commit) || commit.appends.length > 0 || lost.has(commit.id)) return outcome
      lost.add(commit.id)
      return { kind: 'failed', certain: false, cause: new Error('gone') }
    })
    const { app, begin, load, drain, observed } = stepping(
      processOf({
        on: { Began: () => ({ send: [plain('Refuse')], timers: { first: { in: '0s' } } }) },
        replies,
        timers: { first: ({ seen }: State) => ({ state: { seen: [...seen, 'first'] } }) },
      }),
      { store: losing },
    )
    await begin('a')
    await drain()
    expect((await load('a')).state.seen).toEqual(['Refuse refused', 'first'])
    expect(observed.map(({ at }) => at).slice(-2)).toEqual(['1', 'timer first'])
    await app.close()
  })

  test('instead drops what waits, and a call that may have been made keeps its place', async () => {
    const made: string[] = []
    const waited: boolean[][] = []
    const process = processOf(
      {
        on: {
          Began: () => ({ send: [{ call: 'pay', data: {} }, toDo('late')] }),
          Noted: (_: State, __: object, { waiting }: { readonly waiting: readonly { readonly begun: boolean }[] }) => {
            waited.push(waiting.map(({ begun }) => begun))
            return { instead: [toDo('other')] }
          },
        },
        replies: { pay: ({ seen }: State) => ({ state: { seen: [...seen, 'paid'] } }) },
      },
      { calls: { pay: { input: { '~typed': undefined }, output: { '~typed': undefined } } } },
    ).with({
      pay: (_: object, { key }: { readonly key: string }) => {
        made.push(key)
        if (made.length === 1) throw new Error('no answer')
        return {}
      },
    })
    const { app, clock, begin, note, load, done, drain } = stepping(process, { store: await open() })
    await begin('a')
    await drain()
    await note('a', 'now')
    await drain()
    expect(waited).toEqual([[true, false]])
    clock.advance('1s')
    await drain()
    expect([(await load('a')).state.seen, await done(), new Set(made).size, made.length]).toEqual([['paid'], ['other'], 1, 2])
    await app.close()
  })

  test('an unhandled refusal leaves its instance stuck, and others continue', async () => {
    const { app, begin, load, done, drain } = stepping(
      processOf({
        on: { Began: (_: State, __: object, { id }: { readonly id: string }) => ({ send: [toDo(id), toDo(`after ${id}`)] }) },
      }),
      { store: await open() },
    )
    await begin('no')
    await begin('yes')
    expect(await drain()).toMatchObject({ caughtUp: true })
    expect(await done()).toEqual(['yes', 'after yes'])
    const stuck = await load('no')
    expect(stuck).toMatchObject({
      status: 'stuck',
      error: {
        code: 'REFUSED',
        at: '1',
        message: `Do on target 't' was rejected: no {"what":"no"}, and replies has no function for it.`,
      },
    })
    const page = await app.processes.steps.list({ only: 'stuck' })
    expect(page.items).toEqual([stuck])
    expect((await app.health()).consumers).toMatchObject([
      { kind: 'process', key: 'steps', name: 'steps', state: 'idle', stuck: 1 },
    ])
    await app.close()
  })
})

test('a handler of a reply that throws keeps its command from being stored', async () => {
  let isBroken = true
  const { app, begin, load, done, drain } = stepping(
    processOf({
      ...sending(toDo('one')),
      replies: {
        Do: () => {
          if (isBroken) throw new Error('Look at it')
          return { done: 'well' }
        },
      },
    }),
  )
  await begin('a')
  await drain()
  expect(await done()).toEqual([])
  expect(await load('a')).toMatchObject({
    status: 'stuck',
    error: { message: 'Look at it.', at: '1' },
    waitsFor: { sends: [{ what: "Do to target 't'" }] },
  })
  isBroken = false
  await app.processes.steps.resume('a')
  await drain()
  expect([await done(), await load('a')]).toMatchObject([['one'], { status: 'ended', outcome: 'well' }])
  await app.close()
})

test('a step with send and instead, or with an unknown field, leaves the instance stuck', async () => {
  const steps: Record<string, object> = {
    both: { send: [], instead: [] },
    unknown: { sends: [] },
    list: { send: toDo('one') },
    json: { state: { at: new Date(0) } },
    to: { send: [{ to: 'order', id: 'x', type: 'Do' }] },
    type: { send: [{ to: 'target', id: 'x', type: 'Dont' }] },
    id: { send: [toDo('one', '')] },
    surplus: { send: [{ ...toDo('one'), metadata: {} }] },
    call: { send: [{ call: 'mail' }] },
    timer: { timers: { third: { in: '1s' } } },
    done: { done: '' },
    promise: Promise.reject(new Error('never seen')),
    many: { send: Array.from({ length: 1_001 }, () => toDo('one')) },
    large: { state: { text: 'x'.repeat(300_000) } },
  }
  const { app, begin, load, drain } = stepping(
    processOf({ on: { Began: (_: State, __: object, { id }: { readonly id: string }) => steps[id] } }),
  )
  for (const id of Object.keys(steps)) await begin(id)
  await drain()
  const messages = await Promise.all(
    Object.keys(steps).map(async (id) => (await load(id)).error.message.replace("on.Began of process 'steps' ", '')),
  )
  expect(messages).toEqual([
    'returned both send and instead. Put all commands and calls into one of them.',
    "returned a step with the unknown field 'sends'. Its fields: state, send, instead, timers, done.",
    'returned a step whose send is not a list.',
    'returned a step whose state must be JSON, but at is a Date.',
    "sends a command to 'order', which is not among sends.",
    "sends 'Dont', but target has no such command.",
    'sends Do to target with an id that must not be empty.',
    "returned a step that sends something with the unknown field 'metadata'.",
    "asks for the unknown call 'mail'. Declare it in calls.",
    "sets the unknown timer 'third'. Declare it in timers.",
    'returned a step whose done is not a text of 1–1000 characters.',
    'returned a promise; it must return its step at once.',
    'returned a step after which 1001 commands and calls wait; the limit is 1000. Use an instance for each part.',
    'returned a step after which the instance has 300,226 bytes; the limit is 262,144. Keep large data in an aggregate.',
  ])
  await app.close()
})

test('a command is decided on the latest state before a refusal is recorded', async () => {
  const store = memoryStore()
  const { app, place, statusOf } = fulfilling(store)
  const other = fulfilling(store)
  const tea = { order: 'x', quantity: 10 }
  await app.aggregates.stock.execute('tea', { type: 'ReserveStock', data: tea })
  // The cached state of the first app says that no tea is left.
  await other.app.aggregates.stock.execute('tea', { type: 'ReleaseStock', data: { order: 'x' } })
  await place('o-1', 'tea')
  await app.drain()
  expect((await app.processes.fulfilment.load('o-1'))?.state.status).toBe('awaiting payment')
  expect(await statusOf('o-1')).toBe('placed')
  await app.close()
  await other.app.close()
})

test('the commands of a process call the queries once and carry the chain of causes', async () => {
  const seen: EventEnvelope[] = []
  const queries = [(events: readonly EventEnvelope[]) => void seen.push(...events)]
  const { app, place, pay } = fulfilling(memoryStore(), undefined, { queries })
  await place('o-1', 'tea')
  await app.drain()
  await pay('p-1', 'o-1')
  await app.drain()
  expect(seen.map(({ id, metadata }) => `${id} by ${metadata.causationId ?? 'a caller'}`)).toEqual([
    'order/o-1/1 by a caller',
    'stock/tea/1 by order/o-1/1',
    'payment/p-1/1 by a caller',
    'shipment/o-1/1 by payment/p-1/1',
    'order/o-1/2 by shipment/o-1/1',
  ])
  expect(seen.slice(3).map(({ metadata }) => metadata)).toMatchObject([
    { correlationId: 'order/o-1/1', process: 'fulfilment/o-1' },
    { correlationId: 'order/o-1/1', process: 'fulfilment/o-1' },
  ])
  await app.close()
})

test('a command has the same id in each attempt', async () => {
  const { app, clock, services, begin, drain } = stepping(processOf({ ...sending(plain('Throw')), replies }))
  await begin('a')
  await drain()
  clock.advance('1s')
  services.isFailing = false
  await drain()
  expect(services.seen).toEqual(['process/steps/a/1', 'process/steps/a/1'])
  await app.close()
})

test('an inline view is stored in the commit of command and instance, also during a rebuild', async () => {
  const store = memoryStore()
  const done = (viewVersion: number) =>
    defineView({
      name: 'done',
      aggregates: [target],
      viewVersion,
      initialView: () => ({ times: 0, viewVersion }),
      update: { Done: (view) => ({ ...view, times: view.times + 1 }) },
    })
  const process = processOf({ ...sending(toDo('one')), replies })
  const first = stepping(process, { store, views: { done: done(1) } })
  await first.begin('a')
  await first.drain()
  const second = stepping(process, { store, views: { done: done(2) } })
  await second.begin('b')
  await Promise.all([first.drain(), second.drain()])
  await second.drain()
  const view = second.app.views as unknown as { readonly done: { load(id: string): Promise<object | undefined> } }
  expect([await second.done(), await view.done.load('t')]).toMatchObject([['one', 'one'], { view: { times: 2, viewVersion: 2 } }])
  await first.app.close()
  await second.app.close()
})

test('a commit with too many items for the store leaves the instance stuck with its error', async () => {
  const { StoreError } = await import('cqrs-es')
  const refusing = sendingBy(memoryStore(), async (commit, really) =>
    isOfInstance(commit) && commit.appends.length > 0
      ? { kind: 'failed', certain: true, cause: new StoreError('STORE_LIMIT', 'The commit needs 101 items.') }
      : really(commit),
  )
  const { app, begin, load, drain } = stepping(processOf({ ...sending(toDo('one')), replies }), { store: refusing })
  await begin('a')
  await drain()
  expect(await load('a')).toMatchObject({
    status: 'stuck',
    error: { code: 'STORE_LIMIT', message: 'The commit needs 101 items.' },
  })
  await app.close()
})

test('a command that a newer program has removed leaves its instance stuck', async () => {
  const store = memoryStore()
  const first = stepping(processOf({ ...sending(plain('Throw')), replies }), { store })
  await first.begin('a')
  await first.drain()
  await first.app.close()
  const { commands: _, ...definition } = target['~definition'] as unknown as { readonly commands: ReadonlyMap<string, unknown> }
  const smaller = { ...target, '~definition': { ...definition, commands: new Map() } } as unknown as typeof target
  const { testClock } = await import('cqrs-es/testing')
  const app = createApp({
    store,
    aggregates: { signal, target: smaller },
    services: { target: { fails: () => false, seen: [] } },
    processes: { steps: processOf({ ...sending(plain('Throw')), replies }) },
    runtime: testClock('2031-01-01'),
  })
  await app.drain()
  expect(await app.processes.steps.load('a')).toMatchObject({
    status: 'stuck',
    error: { code: 'VALIDATION', message: expect.stringContaining("target has no command 'Throw'") },
  })
  await app.close()
})

test('a process whose command starts it again ends a drain with its budget', async () => {
  const loop = processOf({
    on: {
      Began: (_: State, __: object, { id }: { readonly id: string }) => ({
        send: [{ to: 'signal', id: `${Number(id) + 1}`, type: 'Begin', data: {} }],
      }),
    },
  })
  const { platformRuntime } = await import('cqrs-es')
  const { app, begin, load } = stepping(loop, { clock: platformRuntime })
  await begin('1')
  expect(await app.drain({ budgetMs: 100 })).toMatchObject({ caughtUp: false })
  expect(await load('2')).toMatchObject({ status: 'running' })
  await app.close()
})

test('an outage of the store ends the run, and no attempt is counted', async () => {
  const store = memoryStore()
  let isAway = false
  const { StoreError } = await import('cqrs-es')
  const away = sendingBy(store, async (commit, really) =>
    isAway && commit.appends.length > 0
      ? { kind: 'failed', certain: true, cause: new StoreError('STORE_UNAVAILABLE', 'The store is away.') }
      : really(commit),
  )
  const { app, clock, begin, load, done, drain } = stepping(processOf({ ...sending(toDo('one')), replies }, { attempts: 1 }), {
    store: away,
  })
  await begin('a')
  isAway = true
  for (let minutes = 0; minutes < 60; minutes++) {
    expect(await failureOf(drain())).toMatchObject({ code: 'STORE_UNAVAILABLE' })
    clock.advance('1m')
  }
  expect(await load('a')).toMatchObject({ status: 'running', waitsFor: { sends: [{ attempts: 0 }] } })
  isAway = false
  await drain()
  expect(await done()).toEqual(['one'])
  await app.close()
})

test('closing an app ends its process after the step in progress', async () => {
  const { reached, pass, open } = gate()
  const store = memoryStore()
  const slow = changed(store, {
    append: async (commits) => {
      if (commits.some((commit) => isOfInstance(commit) && commit.appends.length > 0)) await pass()
      return store.append(commits)
    },
  })
  const { app, begin } = stepping(processOf({ ...sending(toDo('one'), toDo('two')), replies }), { store: slow })
  await begin('a')
  const draining = app.drain()
  await reached
  const closing = app.close()
  await settled()
  open()
  expect(await draining).toMatchObject({ caughtUp: false })
  await closing
  expect((await store.readAggregate({ aggregateType: 'target', aggregateId: 't', after: 0 })).events).toHaveLength(1)
})
