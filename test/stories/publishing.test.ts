import { createApp, type Observation } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { counts, publishing as publishingTo, sink } from '../support/messages.ts'
import { withoutStreamWaits } from '../support/runtime.ts'
import { changed, unordered } from '../support/stores.ts'

const kept = keeping()
const publishing = (...args: Parameters<typeof publishingTo>) => kept(publishingTo(...args))
const handle = (app: ReturnType<typeof publishing>) => app.aggregates.counter
const permanent = (message: string) => Object.assign(new Error(message), { isPermanent: true })
/** A message of each of these aggregates in turn, `rounds` times. */
const fill = async (app: ReturnType<typeof publishing>, ids: string, rounds: number) => {
  for (let i = 1; i <= rounds; i++) for (const id of ids) await handle(app).execute(id, count(i))
}
/** Ids of one aggregate, in the order in which a target has them. */
const of = (id: string, ids: readonly string[]) => ids.filter((one) => one.startsWith(`counter/${id}/`))
const inOrder = (id: string, to: number) => Array.from({ length: to }, (_, i) => `counter/${id}/${i + 1}`)

describe('a publication', () => {
  test('a publication sends the public form of each event as a CloudEvent', async () => {
    const { target, sent } = sink()
    const app = publishing(target)
    const metadata = { correlationId: 'c', causationId: 'b', traceparent: '00-1-2-01' }
    const result = await handle(app).execute('a', count(5), { metadata })
    expect(await app.drain()).toEqual({ caughtUp: true, events: 1 })
    expect(sent).toEqual([
      {
        specversion: '1.0',
        id: 'counter/a/1',
        source: '/tests',
        type: 'test.counted.v1',
        subject: 'a',
        time: result.ok ? result.events[0]?.recordedAt : undefined,
        datacontenttype: 'application/json',
        data: { by: 5, from: 'a' },
        partitionkey: 'counter/a',
        sequence: '0000000000000001',
        correlationid: 'c',
        causationid: 'b',
        traceparent: '00-1-2-01',
      },
    ])
  })

  test('metadata stays private, except for the ids of the trace', async () => {
    const { target, sent } = sink()
    const app = publishing(target)
    const metadata = { password: 'secret', userId: 'ann', correlationId: 7, causationId: '' }
    await handle(app).execute('a', count(1), { metadata })
    await app.drain()
    expect(JSON.stringify(sent)).not.toMatch(/secret|ann|correlationid|causationid/)
  })

  test('an event stays private when map returns undefined, or no contract names it', async () => {
    const { target, ids } = sink()
    const Counted = {
      type: 't',
      data: counts.data,
      map: ({ data }: { data: { by: number } }) => (data.by > 1 ? { by: data.by, from: '' } : undefined),
    }
    const app = publishing(target, { publication: counts({ events: { Counted } }) })
    await handle(app).execute('a', countEach(1, 2, 1, 3))
    expect(await app.drain()).toEqual({ caughtUp: true, events: 4 })
    expect(ids()).toEqual(['counter/a/2', 'counter/a/4'])
  })

  test('a contract may choose the subject', async () => {
    const { target, sent } = sink()
    const Counted = { type: 't', data: counts.data, map: () => ({ by: 1, from: 'x' }), subject: () => 'chosen' }
    const app = publishing(target, { publication: counts({ events: { Counted } }) })
    await handle(app).execute('a', count(1))
    await app.drain()
    expect(sent[0]?.subject).toBe('chosen')
  })

  test("a publication from 'now' starts after all events", async () => {
    const { target, ids } = sink()
    const app = publishing(target, { publication: counts({ from: 'now' }) })
    await handle(app).execute('a', count(1))
    await app.drain()
    await handle(app).execute('a', count(1))
    await app.drain()
    expect(ids()).toEqual(['counter/a/2'])
  })

  test('a publication continues from its checkpoint in the next process', async () => {
    const store = memoryStore()
    const { target, ids } = sink()
    const first = publishing(target, { store })
    await fill(first, 'ab', 2)
    await first.drain()
    await first.close()
    const second = publishing(target, { store })
    await handle(second).execute('a', count(1))
    await second.drain()
    expect(ids()).toEqual(['counter/a/1', 'counter/b/1', 'counter/a/2', 'counter/b/2', 'counter/a/3'])
  })

  test('two targets of one publication have their own checkpoints', async () => {
    const [one, two] = [sink(), sink(() => Promise.reject(new Error('away')), { name: 'second' })]
    const publications = { one: counts().to(one.target), two: counts().to(two.target) }
    const app = kept(createApp({ store: memoryStore(), aggregates: { counter }, publications, observe: () => {} }))
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    expect(one.ids()).toEqual(['counter/a/1'])
    expect((await app.publications.two.health()).state).toBe('waiting')
    expect((await app.publications.one.health()).state).toBe('idle')
  })

  test('a started app publishes what commands store', async () => {
    const { target, ids } = sink()
    const app = publishing(target)
    await app.start()
    await handle(app).execute('a', countEach(1, 2))
    await app.publications.counts.caughtUp()
    expect(ids()).toEqual(['counter/a/1', 'counter/a/2'])
  })

  test('health and leftovers list a publication', async () => {
    const store = memoryStore()
    const app = publishing(sink().target, { store })
    await app.drain()
    const { consumers } = await app.health()
    expect(consumers.map(({ key, name, kind, state }) => ({ key, name, kind, state }))).toEqual([
      { key: 'counts', name: 'counts to sink', kind: 'publication', state: 'idle' },
    ])
    const other = publishing(sink(undefined, { name: 'other' }).target, { store })
    expect((await other.leftovers()).map(({ kind, name }) => [kind, name])).toEqual([['publication', 'counts/sink']])
  })
})

describe('a round', () => {
  test('a round fits the limits of its target, and a call has one message of each key', async () => {
    const { target, calls, ids } = sink(undefined, { most: { messages: 3, bytes: 1_000_000 } })
    const app = publishing(target)
    for (const id of 'abcd') await handle(app).execute(id, countEach(1, 2))
    await app.drain()
    expect(Math.max(...calls.map(({ length }) => length))).toBe(3)
    for (const call of calls) expect(new Set(call.map((id) => id.split('/')[1])).size).toBe(call.length)
    for (const id of 'abcd') expect(of(id, ids())).toEqual(inOrder(id, 2))
  })

  test('a target that keeps the order gets all messages of a key in one call', async () => {
    const { target, calls } = sink(undefined, { keeps: 'order' })
    const app = publishing(target)
    await fill(app, 'ab', 2)
    await app.drain()
    expect(calls).toEqual([['counter/a/1', 'counter/b/1', 'counter/a/2', 'counter/b/2']])
  })

  test('a round splits messages by the bytes of a call', async () => {
    const { target, calls } = sink(undefined, { keeps: 'order', most: { messages: 100, bytes: 600 } })
    const app = publishing(target)
    await fill(app, 'a', 3)
    await app.drain()
    expect(calls.map(({ length }) => length)).toEqual([2, 1])
  })

  test('calls of different keys run in parallel, and never two of one key', async () => {
    const busy = new Set<unknown>()
    let [most, twice] = [0, false]
    const deliver = async (messages: readonly { partitionkey?: string }[]) => {
      for (const { partitionkey } of messages) {
        twice ||= busy.has(partitionkey)
        busy.add(partitionkey)
      }
      most = Math.max(most, busy.size)
      await new Promise((resolve) => setTimeout(resolve, 1))
      for (const { partitionkey } of messages) busy.delete(partitionkey)
    }
    const { target, ids } = sink(deliver, { most: { messages: 1, bytes: 10_000 }, calls: 3 })
    const app = publishing(target)
    await fill(app, 'abcde', 3)
    await app.drain()
    expect([most, twice]).toEqual([3, false])
    for (const id of 'abcde') expect(of(id, ids())).toEqual(inOrder(id, 3))
  })

  test.each(['one-per-key', 'order', 'nothing'] as const)(
    'failures of every third message keep each key in order (%s)',
    async (keeps) => {
      let nth = 0
      // A target that keeps the order takes all messages of a call or none.
      const deliver = async (messages: readonly unknown[]) => {
        if (keeps === 'order' && ++nth % 3 === 0) throw new Error('every third')
        return messages.map(() => (keeps !== 'order' && ++nth % 3 === 0 ? new Error('every third') : undefined))
      }
      const { target, ids } = sink(deliver, { keeps, most: { messages: 4, bytes: 100_000 } })
      const app = publishing(target, { publication: counts({ onFailure: 'retry' }) })
      await fill(app, 'abc', 10)
      for (let i = 0; i < 100 && !(await app.drain()).caughtUp; i++);
      expect(ids().length).toBe(30)
      if (keeps !== 'nothing') for (const id of 'abc') expect(of(id, ids())).toEqual(inOrder(id, 10))
    },
  )

  test('a failed message holds back its key and no other', async () => {
    const { target, ids } = sink(async (messages) =>
      messages.map(({ id }) => (id === 'counter/a/2' ? new Error('no') : undefined)),
    )
    const app = publishing(target, { publication: counts({ onFailure: 'retry' }) })
    await fill(app, 'ab', 3)
    expect((await app.drain()).caughtUp).toBe(false)
    expect(ids()).toEqual(['counter/a/1', 'counter/b/1', 'counter/b/2', 'counter/b/3'])
  })

  test('messages acknowledged ahead of a failed one are not sent again', async () => {
    let isOpen = false
    const { target, ids, calls } = sink(async (messages) =>
      messages.map(({ id }) => (id === 'counter/a/1' && !isOpen ? new Error('no') : undefined)),
    )
    const app = publishing(target, { publication: counts({ onFailure: 'retry' }) })
    await fill(app, 'ab', 2)
    await app.drain()
    isOpen = true
    expect((await app.drain()).caughtUp).toBe(true)
    expect(ids()).toEqual(['counter/b/1', 'counter/b/2', 'counter/a/1', 'counter/a/2'])
    expect(calls.flat().filter((id) => id === 'counter/a/1').length).toBe(2)
  })

  test('each of many failed messages is tried once in a run', async () => {
    const { target, calls } = sink(async (messages) =>
      messages.map(({ data }) => ((data as { by: number }).by < 0 ? new Error('no') : undefined)),
    )
    const app = publishing(target, { publication: counts({ onFailure: 'park' }) })
    for (let i = 0; i < 20; i++) await handle(app).execute(`a${i}`, countEach(1, ...(i % 2 === 0 ? [-1] : [])))
    await app.drain()
    expect(calls.flat().length).toBe(30)
    expect((await app.publications.counts.parked()).items.length).toBe(10)
  })

  test('an interrupted round resumes without repeating what was acknowledged', async () => {
    const slow = () => new Promise<void>((resolve) => setTimeout(resolve, 10))
    const { target, ids, calls } = sink(slow, { keeps: 'order', most: { messages: 1, bytes: 10_000 } })
    const app = publishing(target)
    await fill(app, 'a', 5)
    let runs = 1
    while (!(await app.drain({ budgetMs: 15 })).caughtUp) runs++
    expect(runs).toBeGreaterThan(1)
    expect(calls.length).toBe(5)
    expect(ids()).toEqual(inOrder('a', 5))
  })
})

describe('a failure', () => {
  test('a target that cannot be reached is waited for, whatever the policy', async () => {
    let isAway = true
    for (const onFailure of ['park', 'stop', 'retry', undefined] as const) {
      const { target, ids, calls } = sink(() => (isAway ? Promise.reject(new Error('away')) : undefined))
      const app = publishing(target, { publication: counts(onFailure && { onFailure }) })
      await fill(app, 'ab', 2)
      isAway = true
      expect((await app.drain()).caughtUp).toBe(false)
      expect(calls.length).toBe(1)
      const { state, because, parked, retrying } = await app.publications.counts.health()
      expect({ state, because, parked, retrying }).toEqual({
        state: 'waiting',
        because: 'It retries after an error: away',
        parked: 0,
        retrying: 0,
      })
      isAway = false
      expect((await app.drain()).caughtUp).toBe(true)
      expect(ids().length).toBe(4)
    }
  })

  test.each([true, false])('a target that returns sends each message once (global order: %s)', async (isOrdered) => {
    let isAway = true
    const { target, ids } = sink(() => (isAway ? Promise.reject(new Error('away')) : undefined))
    const app = publishing(target, isOrdered ? {} : { store: unordered(memoryStore()), ...withoutStreamWaits })
    await fill(app, 'abc', 5)
    for (let i = 0; i < 5; i++) expect((await app.drain()).caughtUp).toBe(false)
    expect((await app.publications.counts.parked()).items).toEqual([])
    isAway = false
    for (let i = 0; i < 5 && !(await app.drain()).caughtUp; i++);
    expect(ids().length).toBe(15)
    for (const id of 'abc') expect(of(id, ids())).toEqual(inOrder(id, 5))
  })

  test.each([true, false])('unfit data parks the aggregate, and others go on (global order: %s)', async (isOrdered) => {
    const { target, ids } = sink()
    const on = isOrdered ? {} : { store: unordered(memoryStore()), ...withoutStreamWaits }
    const map = ({ data, aggregateId }: { data: { by: number }; aggregateId: string }) => {
      if (data.by === 3) throw new Error('three')
      return { by: data.by === 4 ? ('four' as never) : data.by, from: aggregateId }
    }
    const Counted = { type: 'test.counted.v1', data: counts.data, map }
    const app = publishing(target, { ...on, publication: counts({ events: { Counted } }) })
    await handle(app).execute('a', countEach(1, 3, 5))
    await handle(app).execute('b', countEach(1, 2))
    await handle(app).execute('c', countEach(4, 5))
    for (let i = 0; i < 3 && !(await app.drain()).caughtUp; i++);
    expect([...ids()].sort()).toEqual(['counter/a/1', 'counter/b/1', 'counter/b/2'])
    const { items } = await app.publications.counts.parked()
    const said = items.map(({ eventId, state, message }) => ({ eventId, state, message }))
    expect(said.sort((one, other) => (one.eventId < other.eventId ? -1 : 1))).toEqual([
      { eventId: 'counter/a/2', state: 'parked', message: 'three' },
      {
        eventId: 'counter/c/1',
        state: 'parked',
        message:
          "The publication 'counts to sink' cannot publish Counted on counter 'c' as test.counted.v1: by: Invalid input: expected number, received string. Fix map or the schema, then call resume().",
      },
    ])
    expect(await app.publications.counts.skip('counter/a/2', { reason: 'nobody needs it' })).toBe(true)
    for (let i = 0; i < 3 && !(await app.drain()).caughtUp; i++);
    expect(of('a', ids())).toEqual(['counter/a/1', 'counter/a/3'])
    expect((await app.publications.counts.skipped()).items.map(({ eventId }) => eventId)).toEqual(['counter/a/2'])
  })

  test('a message above the limit of its target is named and parked', async () => {
    const { target, ids } = sink(undefined, { most: { messages: 10, bytes: 400 } })
    const Counted = {
      type: 't',
      data: counts.data,
      map: ({ data }: { data: { by: number } }) => ({ by: 0, from: 'x'.repeat(data.by) }),
    }
    const app = publishing(target, { publication: counts({ events: { Counted } }) })
    await handle(app).execute('a', countEach(1, 300, 1))
    await handle(app).execute('b', count(1))
    await app.drain()
    expect(ids()).toEqual(['counter/a/1', 'counter/b/1'])
    const { items } = await app.publications.counts.parked()
    expect(items.map(({ message }) => message)).toEqual([
      "The message of event counter/a/2 has 537 bytes; the limit of the target 'sink' is 400 (mostBytes). Shorten its data.",
    ])
  })

  test('a message that its target refuses for good is parked at once', async () => {
    const { target, calls } = sink(async (messages) => messages.map(() => permanent('never')))
    const app = publishing(target)
    await handle(app).execute('a', count(1))
    await app.drain()
    expect((await app.publications.counts.parked({ state: 'parked' })).items.map(({ message }) => message)).toEqual(['never'])
    expect(calls.length).toBe(1)
  })

  test('a message refused for now is retried at stored times, and at once by retry()', async () => {
    let isOpen = false
    const { target, ids } = sink(async (messages) => messages.map(() => (isOpen ? undefined : new Error('not now'))))
    const app = publishing(target)
    await handle(app).execute('a', countEach(1, 2))
    const { nextDue } = await app.drain()
    expect(nextDue).toBeInstanceOf(Date)
    const { items } = await app.publications.counts.parked({ state: 'retrying' })
    expect(items.map(({ eventId, attempts }) => [eventId, attempts])).toEqual([['counter/a/1', 1]])
    isOpen = true
    expect(await app.publications.counts.retry('counter/a/1')).toBe(true)
    await app.drain()
    expect(ids()).toEqual(['counter/a/1', 'counter/a/2'])
  })

  test('a target that answers for too few messages is waited for', async () => {
    const { target } = sink(async () => [])
    const app = publishing(target)
    await handle(app).execute('a', count(1))
    await app.drain()
    expect((await app.publications.counts.health()).because).toBe(
      "It retries after an error: The target 'sink' answered for 0 of 1 messages.",
    )
  })

  test('a call that exceeds timeoutMs aborts its signal and is retried', async () => {
    let isStuck = true
    let aborted = false
    const base = sink()
    const target = {
      ...base.target,
      send: (messages: never, { signal }: { signal: AbortSignal }) =>
        isStuck
          ? new Promise<never>((_, reject) => {
              signal.addEventListener('abort', () => {
                aborted = true
                reject(signal.reason)
              })
            })
          : base.target.send(messages, { signal }),
    }
    const app = publishing(target, { publication: counts({ timeoutMs: 5 }) })
    await handle(app).execute('a', count(1))
    expect((await app.drain()).caughtUp).toBe(false)
    isStuck = false
    await app.drain()
    expect([aborted, base.ids()]).toEqual([true, ['counter/a/1']])
  })

  test('events whose acknowledgement was not saved are sent again under the same ids', async () => {
    const store = memoryStore()
    const { target, ids } = sink()
    let isFailing = true
    const failing = changed(store, {
      append: (commits) => {
        const savesCheckpoint = commits.some((commit) => commit.checkpoint !== undefined)
        return isFailing && savesCheckpoint ? Promise.reject(new Error('the process died')) : store.append(commits)
      },
    })
    const first = publishing(target, { store: failing, following: { leaseMs: 20 } })
    await fill(first, 'ab', 2)
    await first.drain().catch(() => {})
    isFailing = false
    const second = publishing(target, { store, following: { leaseMs: 20 } })
    for (let i = 0; i < 100 && !(await second.drain()).caughtUp; i++) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(new Set(ids()).size).toBe(4)
    expect(ids().slice(-4)).toEqual(['counter/a/1', 'counter/b/1', 'counter/a/2', 'counter/b/2'])
    expect(ids().length).toBeGreaterThan(4)
  })

  test('observe reports rounds and failures', async () => {
    const seen: Observation[] = []
    const { target } = sink(async (messages) => messages.map(({ id }) => (id === 'counter/a/1' ? permanent('no') : undefined)))
    const app = publishing(target, { observe: (what: Observation) => void seen.push(what) })
    await fill(app, 'ab', 1)
    await app.drain()
    expect(seen.filter(({ kind }) => kind === 'published')).toMatchObject([
      { publication: 'counts', target: 'sink', messages: 1, failed: 1 },
    ])
    expect(seen.filter(({ kind }) => kind === 'delivery' || kind === 'parked')).toMatchObject([
      { kind: 'delivery', subscription: 'counts to sink', eventId: 'counter/a/1', attempt: 1 },
      { kind: 'parked', subscription: 'counts to sink', eventId: 'counter/a/1' },
    ])
  })
})

describe('replay of a publication', () => {
  test('replay sends published events again and leaves the checkpoint', async () => {
    const { target, ids } = sink()
    const app = publishing(target)
    await fill(app, 'ab', 2)
    await app.drain()
    const before = (await app.publications.counts.health()).position
    expect(await app.publications.counts.replay({ aggregate: counter, id: 'a' })).toEqual({ messages: 2 })
    expect(ids().slice(4)).toEqual(['counter/a/1', 'counter/a/2'])
    expect(await app.publications.counts.replay()).toEqual({ messages: 4 })
    expect((await app.publications.counts.health()).position).toBe(before)
    expect(await app.drain()).toEqual({ caughtUp: true, events: 0 })
  })

  test('replay takes a position and another target', async () => {
    const [usual, other] = [sink(), sink()]
    const app = publishing(usual.target)
    const first = await handle(app).execute('a', count(1))
    await fill(app, 'b', 2)
    await app.drain()
    const after = first.ok ? first.events[0]?.position : undefined
    expect(await app.publications.counts.replay({ after, to: other.target })).toEqual({ messages: 2 })
    expect(other.ids()).toEqual(['counter/b/1', 'counter/b/2'])
    expect(usual.ids().length).toBe(3)
  })

  test('replay ends at the checkpoint beside live publishing', async () => {
    let isAway = false
    const { target, ids } = sink(() => (isAway ? Promise.reject(new Error('away')) : undefined))
    const replayed = sink()
    const app = publishing(target)
    expect(await app.publications.counts.replay()).toEqual({ messages: 0 })
    await fill(app, 'a', 2)
    await app.drain()
    isAway = true
    await fill(app, 'a', 2)
    await app.drain()
    expect(await app.publications.counts.replay({ to: replayed.target })).toEqual({ messages: 2 })
    expect(replayed.ids()).toEqual(inOrder('a', 2))
    isAway = false
    await app.drain()
    expect(ids()).toEqual(inOrder('a', 4))
  })

  test('replay rejects with the error of the first message that fails', async () => {
    let isOpen = true
    const { target } = sink(async (messages) => messages.map(() => (isOpen ? undefined : new Error('no'))))
    const app = publishing(target)
    await fill(app, 'a', 2)
    await app.drain()
    isOpen = false
    expect(await failureOf(app.publications.counts.replay())).toMatchObject({ message: 'no' })
  })

  test('replay without a global order sends aggregate by aggregate and refuses a position', async () => {
    const { target, ids } = sink()
    const app = publishing(target, { store: unordered(memoryStore()), ...withoutStreamWaits })
    await fill(app, 'ab', 2)
    await app.drain()
    expect(await app.publications.counts.replay()).toEqual({ messages: 4 })
    expect(ids().slice(4)).toEqual([...inOrder('a', 2), ...inOrder('b', 2)])
    expect(await failureOf(app.publications.counts.replay({ after: '1' as never }))).toMatchObject({ code: 'DEFINITION' })
  })

  test.each([
    [{ id: 'a' }, 'the option id needs the option aggregate'],
    [{ after: 'x' }, 'after must be the position of an event'],
    [{ to: {} }, 'to: name must be a text'],
    [{ from: 1 }, "has no option 'from'"],
  ])('replay refuses %j', async (options, message) => {
    const app = publishing(sink().target)
    expect(((await failureOf(app.publications.counts.replay(options as never))) as Error).message).toContain(message)
  })

  test('reset publishes later events again', async () => {
    const { target, ids } = sink()
    const app = publishing(target)
    await fill(app, 'a', 2)
    await app.drain()
    await app.publications.counts.reset({ to: 'beginning', reason: 'the queue was purged' })
    await app.drain()
    expect(ids()).toEqual([...inOrder('a', 2), ...inOrder('a', 2)])
  })
})
