import {
  type AppOptions,
  createApp,
  DefinitionError,
  defineAggregate,
  defineProcess,
  defineView,
  noData,
  type Store,
  unique,
} from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { given } from 'cqrs-es/testing'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { member } from '../support/members.ts'
import { signal, stores } from '../support/process-stories.ts'
import { changed, counting } from '../support/stores.ts'

const appOn = (store: Store, options: Partial<AppOptions<{ member: typeof member }, Record<never, never>>> = {}) => {
  const app = createApp({ store, aggregates: { member }, ...options })
  const { execute, load } = app.aggregates.member
  const change = (id: string, data: object) => execute(id, { type: 'Change', data })
  return { app, change, execute, load }
}
const taken = (rule: string) => ({ ok: false, reason: 'taken', details: { unique: rule } })

describe.each(stores)('unique values on $name', ({ open }) => {
  test('a value that another aggregate has is taken', async () => {
    const { change, load } = appOn(await open())
    expect(await change('m-1', { email: 'ann@example.com' })).toMatchObject({ ok: true })
    expect(await change('m-2', { email: ' Ann@Example.com' })).toEqual(taken('email'))
    expect(await load('m-2')).toMatchObject({ sequence: 0 })
    expect(await change('m-2', { email: 'bob@example.com' })).toMatchObject({ ok: true })
  })

  test('one of 8 aggregates gets a value that all want at once, from 4 apps', async () => {
    const store = await open()
    const apps = Array.from({ length: 4 }, () => appOn(store))
    for (const email of ['a', 'b', 'c']) {
      const results = await Promise.all(Array.from({ length: 8 }, (_, i) => apps[i % 4]?.change(`m-${i}`, { email })))
      expect(results.filter((result) => result?.ok)).toHaveLength(1)
      expect(results.filter((result) => !result?.ok)).toEqual(Array.from({ length: 7 }, () => taken('email')))
    }
  })

  test('a value is free after its owner has given it up', async () => {
    const { change } = appOn(await open())
    await change('m-1', { email: 'a' })
    await change('m-1', { email: 'b' })
    expect(await change('m-2', { email: 'a' })).toMatchObject({ ok: true })
    expect(await change('m-1', { email: 'a' })).toEqual(taken('email'))
    expect(await change('m-2', { email: null })).toMatchObject({ ok: true })
    expect(await change('m-1', { email: 'a' })).toMatchObject({ ok: true })
  })

  test('two aggregates cannot swap values in one step', async () => {
    const { change } = appOn(await open())
    await change('m-1', { email: 'a' })
    await change('m-2', { email: 'b' })
    expect(await Promise.all([change('m-1', { email: 'b' }), change('m-2', { email: 'a' })])).toEqual([
      taken('email'),
      taken('email'),
    ])
  })

  test('a value is owned by one aggregate at most while it is given up and wanted', async () => {
    const store = await open()
    const [one, two] = [appOn(store), appOn(store)]
    for (let round = 0; round < 10; round++) {
      await one.change('m-1', { email: 'a' })
      const [, result] = await Promise.all([one.change('m-1', { email: 'b' }), two.change('m-2', { email: 'a' })])
      const owner = (await two.load('m-2')).state.email
      expect(owner).toBe(result.ok ? 'a' : null)
      expect(await one.change('m-3', { email: 'a' })).toMatchObject({ ok: !result.ok })
      await one.change('m-3', { email: null })
      await two.change('m-2', { email: null })
    }
  })

  test('a list claims each of its values, and releases those it loses', async () => {
    const { change, load } = appOn(await open())
    await change('m-1', { tags: ['x', 'y', 'x'] })
    expect(await change('m-2', { tags: ['z', 'y'] })).toEqual(taken('tag'))
    await change('m-1', { tags: ['y', 'z'] })
    expect(await change('m-2', { tags: ['x'] })).toMatchObject({ ok: true })
    expect(await change('m-2', { tags: ['x', 'z'] })).toEqual(taken('tag'))
    expect((await load('m-2')).state.tags).toEqual(['x'])
  })

  test('a command claims nothing when one of its values is taken', async () => {
    const { change } = appOn(await open())
    await change('m-1', { name: 'ann' })
    expect(await change('m-2', { email: 'a', name: 'ann', tags: ['x'] })).toEqual(taken('name'))
    expect(await change('m-3', { email: 'a', tags: ['x'] })).toMatchObject({ ok: true })
  })

  test('rules and types do not share values', async () => {
    const { change } = appOn(await open())
    await change('m-1', { email: 'a', name: 'b', tags: ['c', ''] })
    expect(await change('m-2', { email: 'b', name: 'c', tags: ['a'] })).toMatchObject({ ok: true })
    expect(await change('m-3', { tags: [''] })).toEqual(taken('tag'))
  })

  test('a stale state does not answer taken', async () => {
    const store = await open()
    const [one, two] = [appOn(store), appOn(store)]
    await one.change('m-2', { tags: ['y'] })
    await two.change('m-1', { name: 'ann' })
    await one.execute('m-1', { type: 'Visit' })
    expect(await two.execute('m-1', { type: 'AddFirst', data: { tag: 'y' } })).toMatchObject({ ok: true, events: [] })
    expect(await one.execute('m-1', { type: 'Add', data: { tag: 'y' } })).toEqual(taken('tag'))
  })

  test('commands of one aggregate in flight keep their claims', async () => {
    const store = await open()
    const { change, execute, load } = appOn(store)
    await change('m-0', { tags: ['t-7'] })
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        i % 2 === 0 ? execute('m-1', { type: 'Visit' }) : execute('m-1', { type: 'Add', data: { tag: `t-${i}` } }),
      ),
    )
    expect(results.filter(({ ok }) => !ok)).toEqual([taken('tag')])
    const { state } = await load('m-1')
    expect(state.visits).toBe(20)
    expect(state.tags).toHaveLength(19)
    for (const tag of state.tags) expect(await change('m-2', { tags: [tag] })).toEqual(taken('tag'))
  })

  test('an idempotency key gives the first outcome, and a rejection is not remembered', async () => {
    const { execute, change } = appOn(await open())
    await change('m-1', { email: 'a' })
    const register = () => execute('m-2', { type: 'Change', data: { email: 'a' } }, { idempotencyKey: 'k' })
    expect(await register()).toEqual(taken('email'))
    await change('m-1', { email: 'b' })
    expect(await register()).toMatchObject({ ok: true, replayed: false })
    await change('m-2', { email: 'c' })
    await change('m-1', { email: 'a' })
    expect(await register()).toMatchObject({ ok: true, replayed: true })
  })

  test('inline views and claims share the commit', async () => {
    const emails = defineView({
      name: 'emails',
      aggregates: [member],
      id: () => 'all',
      initialView: () => ({ count: 0 }),
      update: { Changed: ({ count }) => ({ count: count + 1 }) },
      consistency: 'inline',
    })
    const store = await open()
    const apps = Array.from({ length: 2 }, () => createApp({ store, aggregates: { member }, views: { emails } }))
    const results = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        apps[i % 2]?.aggregates.member.execute(`m-${i}`, { type: 'Change', data: { email: `e-${i % 6}` } }),
      ),
    )
    expect(results.filter((result) => result?.ok)).toHaveLength(6)
    expect((await apps[0]?.views.emails.load('all'))?.view).toEqual({ count: 6 })
  })

  test('type, id and value may have 255 characters and more', async () => {
    const { change } = appOn(await open())
    const email = 'é'.repeat(5_000)
    expect(await change('m'.repeat(255), { email })).toMatchObject({ ok: true })
    expect(await change('n'.repeat(255), { email })).toEqual(taken('email'))
  })
})

test('a command that changes no unique value reads and writes no claims', async () => {
  const calls: string[] = []
  const store = counting(memoryStore(), calls, (name, args) => `${name} ${JSON.stringify(args)}`)
  const { change, execute } = appOn(store)
  await change('m-1', { email: 'a' })
  expect(calls.filter((call) => call.includes('~unique')).length).toBeGreaterThan(0)
  calls.length = 0
  await change('m-1', { email: 'A' })
  await execute('m-1', { type: 'Visit' })
  expect(calls.filter((call) => call.includes('~unique') || call.startsWith('readViews'))).toEqual([])
})

test('a claim holds no value, and is stored with the events', async () => {
  const store = memoryStore()
  const commits: unknown[] = []
  const seen = changed(store, {
    append: (all) => {
      commits.push(...all)
      return store.append(all)
    },
  })
  await appOn(seen).change('m-1', { email: 'ann@example.com' })
  expect(commits).toMatchObject([
    {
      appends: [{ aggregateId: 'm-1' }],
      views: [{ name: '~unique', id: expect.stringMatching(/^[0-9a-f]{64}$/), expectedVersion: 0, view: { owner: 'm-1' } }],
    },
  ])
  expect(JSON.stringify((commits[0] as { views: unknown }).views)).not.toContain('ann@')
})

test('a rule that throws or returns no text fails the command', async () => {
  const { change, load } = appOn(memoryStore())
  const odd = change('m-1', { email: 7 as never })
  expect(await failureOf(odd)).toMatchObject({ code: 'APPLY', message: expect.stringContaining("unique.email of member 'm-1'") })
  expect(await failureOf(change('m-1', { tags: [7 as never] }))).toMatchObject({ code: 'APPLY' })
  expect(await load('m-1')).toMatchObject({ sequence: 0 })
})

test('a process receives taken as the reply to its command', async () => {
  const welcome = defineProcess({
    name: 'welcome',
    aggregates: [signal],
    sends: [member],
    initialState: () => ({ said: '' }),
    from: 'beginning',
  }).implement({
    starts: ['Began'],
    on: { Began: () => ({ send: [{ to: 'member', id: 'm-2', type: 'Change', data: { email: 'a' } }] }) },
    replies: {
      Change: (_, reply) => ({ state: { said: reply.ok ? 'stored' : reply.reason === 'taken' ? reply.details.unique : 'no' } }),
    },
  })
  const app = createApp({ store: memoryStore(), aggregates: { member, signal }, processes: { welcome } })
  await app.aggregates.member.execute('m-1', { type: 'Change', data: { email: 'A' } })
  await app.aggregates.signal.execute('s-1', { type: 'Begin', data: {} })
  await app.drain()
  expect(await app.processes.welcome.load('s-1')).toMatchObject({ state: { said: 'email' }, waitsFor: { sends: [] } })
  expect(await app.aggregates.member.load('m-2')).toMatchObject({ sequence: 0 })
  await app.aggregates.member.execute('m-1', { type: 'Change', data: { email: 'b' } })
  await app.aggregates.signal.execute('s-2', { type: 'Begin', data: {} })
  await app.drain()
  expect(await app.processes.welcome.load('s-2')).toMatchObject({ state: { said: 'stored' } })
  expect(await app.aggregates.member.execute('m-3', { type: 'Change', data: { email: 'a' } })).toEqual(taken('email'))
})

test('given evaluates the rules, and does not pretend to know other aggregates', async () => {
  const ann = given(member, [{ type: 'Changed', data: { email: 'ann' } }])
  await ann.when({ type: 'Change', data: { email: 'bob' } }).thenEvents([{ type: 'Changed', data: { email: 'bob' } }])
  await ann.when({ type: 'Change', data: { email: 7 as never } }).thenThrows('unique.email')
  const pretended = ann.when({ type: 'Change', data: { email: 'bob' } }).thenRejected('taken', { unique: 'email' })
  expect(await failureOf(pretended)).toMatchObject({ message: expect.stringContaining('knows one aggregate') })
})

const unfit: readonly [title: string, options: object, message: string][] = [
  ['without its code', { unique: { name: () => 'a' } }, 'Import unique from cqrs-es'],
  ['without rules', { with: [unique] }, 'there is no option unique'],
  ['of another kind', { unique: { name: () => 'a' }, with: [defineAggregate] }, 'takes unique and deadlines'],
  ['with a rule that is no function', { unique: { name: 'a' }, with: [unique] }, 'unique.name'],
  ['with a list of rules', { unique: [], with: [unique] }, 'unique must be an object'],
]
test.each(unfit)('defineAggregate refuses unique values %s', (_, options, message) => {
  const plain = { type: 't', events: { A: noData }, commands: { A: noData }, initialState: () => ({}), ...options }
  const implement = () => defineAggregate(plain).implement({ handle: { A: () => {} }, apply: { A: (state) => state } })
  expect(implement).toThrow(message)
  expect(implement).toThrow(DefinitionError)
})
